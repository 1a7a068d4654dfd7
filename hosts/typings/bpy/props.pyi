from typing import Any

BoolProperty: Any
CollectionProperty: Any
EnumProperty: Any
FloatVectorProperty: Any
IntProperty: Any
PointerProperty: Any
StringProperty: Any
