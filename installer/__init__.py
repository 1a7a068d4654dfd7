"""Set-up with nothing but a Python: ``python3 -m installer demo | install | test | build | doctor | uninstall``.

Standard library only. Everything it makes lies in one folder, ``.sa2va`` beside this package, and in ``results``.
"""
