"""What every language side shares: a prompt's visual part is read once, answers are decoded greedily behind it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from sa2va_plugin.errors import PhraseError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import DynamicCache

from .pictures import RGB
from .tokenizer import SEG, token_id

MAX_NEW_TOKENS = 2048
IMAGE = "<image>"
#: How Sa2VA was trained to answer when one thing is asked for; decoding tries them as drafts.
ANSWER_FORMS = (
    "Sure, [SEG].",
    "It is [SEG].",
    "Sure, it is [SEG].",
    "Sure, the segmentation result is [SEG].",
    "[SEG].",
)
#: Enough tokens for the longest stop word, however it is cut into tokens.
_STOP_TAIL = 16


@dataclass
class Scene:
    """Pictures as the language model sees them.

    ``tokens``: (image tokens, width), in the order of the prompt. ``counts``: how many belong to each picture.
    ``grids``: rows and columns of tokens a picture, where the family places them in the plane. ``deep``: features for
    the first layers (Qwen3-VL). ``prompt``: text that follows the pictures in the prompt (visual prompts). The cache
    holds what the language model made of the prompt up to the last picture.
    """

    tokens: Tensor
    counts: list[int]
    grids: list[tuple[int, int]] = field(default_factory=list)
    deep: list[Tensor] = field(default_factory=list)
    prompt: str = ""
    prefix: list[int] = field(default_factory=list)
    cache: DynamicCache | None = None
    position: int = 0


@dataclass(frozen=True)
class Answer:
    """``ids``: the tokens generated, with the one that stopped them. ``states``: (n, width) at each [SEG] token."""

    text: str
    ids: list[int]
    states: Tensor


class LanguageModel(nn.Module):
    """A vision tower, a language model and their tokenizer."""

    #: Official code of this family also takes a [SEG] that the user wrote.
    reads_prompt_segs = False
    #: The token that stands for a piece of a picture.
    image_token: int

    def __init__(self, tokenizer: Tokenizer, context: int, ends: set[int], stop_words: tuple[str, ...]) -> None:
        super().__init__()
        self.tokenizer, self.context, self.ends, self.stop_words = tokenizer, context, ends, stop_words
        self.seg = token_id(tokenizer, SEG)

    @abstractmethod
    def rename(self, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """A checkpoint's tensor under this module's own names; fused tensors give several."""

    @abstractmethod
    def see(self, pictures: Sequence[RGB], still: bool, regions: Tensor | None = None) -> Scene:
        """Run the vision tower over key frames, or over one still picture in more detail."""

    @abstractmethod
    def prompt(self, scene: Scene | None, text: str) -> str:
        """The whole prompt, with every image token in place."""

    @abstractmethod
    def feed(
        self, embeds: Tensor, positions: Tensor, cache: DynamicCache, scene: Scene | None
    ) -> tuple[Tensor, Tensor]:
        """Run ``embeds`` (n, width) behind ``cache``; states (n, width) for the head, and for [SEG].

        ``positions``: (n,), or (3, n). ``scene``: given where the embeddings are those of its prefix.
        """

    @abstractmethod
    def head(self, states: Tensor) -> Tensor:
        """States (n, width) -> logits of the next token, (n, vocabulary)."""

    @abstractmethod
    def embed(self, ids: list[int]) -> Tensor:
        """Token ids -> embeddings (n, width)."""

    def positions(self, scene: Scene, ids: list[int]) -> Tensor:
        """Positions of the tokens of a prompt's visual part."""
        return torch.arange(len(ids))

    @torch.inference_mode()
    def answer(
        self,
        scene: Scene | None,
        text: str,
        *,
        official: bool = False,
        limit: int = MAX_NEW_TOKENS,
        forms: Sequence[str] = ANSWER_FORMS,
    ) -> Answer:
        """Greedy decoding of the answer to ``text``, in which ``<image>`` stands for the pictures.

        ``official``: neither drafts nor the fixes of the official code's slips, so that a run can be compared step by
        step. Raises PhraseError for a text that does not fit the model's context.
        """
        ids = self._encode(scene, text)
        limit = min(limit, self.context - len(ids))
        cache, position, pending = self._read_pictures(scene, ids)
        drafts = [] if official else [self.tokenizer.encode(form, add_special_tokens=False).ids for form in forms]
        made: list[int] = []
        states: list[Tensor] = []
        done = False
        while not done:
            draft = next((d[len(made) :] for d in drafts if d[: len(made)] == made and len(d) > len(made)), [])
            fed = pending + draft
            hidden, seg_states = self.feed(self.embed(fed), _after(position, len(fed)), cache, None)
            choices = self.head(hidden[len(pending) - 1 :]).argmax(dim=-1).tolist()
            new = _agreed(draft, choices)
            for count in range(1, len(new) + 1):
                if done := self._stops(made + new[:count], limit):
                    new = new[:count]
                    break
            # All but the newest token have been fed, and stay in the cache.
            read = len(pending) + len(new) - 1
            prompt = len(pending) if not made and not (official and self.reads_prompt_segs) else 0
            states += [seg_states[i] for i in range(prompt, read) if fed[i] == self.seg]
            _drop(cache, len(fed) - read)
            position += read
            made += new
            pending = made[-1:]
        if made[-1] == self.seg and not official:
            states.append(self.feed(self.embed(pending), _after(position, 1), cache, None)[1][0])
        if scene is not None:
            _drop(cache, cache.get_seq_length() - len(scene.prefix))
        none = self.embed([])
        text = self.tokenizer.decode(made, skip_special_tokens=False).strip()
        return Answer(text, made, torch.stack(states) if states else none)

    def check_length(self, text: str) -> None:
        """Raise PhraseError for a text that is too long even without pictures."""
        self._encode(None, text)

    def _encode(self, scene: Scene | None, text: str) -> list[int]:
        ids = self.tokenizer.encode(self.prompt(scene, text)).ids
        if len(ids) >= self.context:
            raise PhraseError(
                f"The phrase is too long: the prompt makes {len(ids)} tokens, and the model reads {self.context}.",
                "Say it in fewer words.",
            )
        return ids

    def _stops(self, made: list[int], limit: int) -> bool:
        if made[-1] in self.ends or len(made) >= limit:
            return True
        if not self.stop_words:
            return False
        tail = self.tokenizer.decode(made[-_STOP_TAIL:], skip_special_tokens=False)
        return tail.replace("\r", "").replace("\n", "").endswith(self.stop_words)

    def _read_pictures(self, scene: Scene | None, ids: list[int]) -> tuple[DynamicCache, int, list[int]]:
        """The cache behind the pictures, the next position, and the tokens still to feed.

        The cache is kept in the scene: another phrase about the same pictures starts behind them.
        """
        if scene is None:
            return DynamicCache(), 0, ids
        split = len(ids) - ids[::-1].index(self.image_token) if self.image_token in ids else 0
        prefix, rest = ids[:split], ids[split:]
        if scene.cache is None or scene.prefix != prefix:
            embeds = self.embed(prefix).clone()
            at = torch.tensor(prefix, device=embeds.device) == self.image_token
            embeds[at] = scene.tokens.to(embeds.dtype)
            places = self.positions(scene, prefix)
            scene.cache, scene.prefix, scene.position = DynamicCache(), prefix, int(places.max()) + 1
            self.feed(embeds, places, scene.cache, scene)
        return scene.cache, scene.position, rest


def _after(position: int, count: int) -> Tensor:
    return torch.arange(position, position + count)


def _agreed(draft: list[int], choices: list[int]) -> list[int]:
    """The draft as far as the model would have said it, and the model's next token."""
    for i, (drafted, chosen) in enumerate(zip(draft, choices, strict=False)):
        if drafted != chosen:
            return choices[: i + 1]
    return choices


def _drop(cache: DynamicCache, count: int) -> None:
    """Take the last ``count`` tokens out of the cache."""
    if count:
        cache.crop(-count)
