"""How a corpus is divided into shards, and what a shard is called: by what it will hold."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from payattention.explaining.corpus.questions import Asked
from payattention.explaining.corpus.sources import Corpus, Input
from payattention.models import Classifier
from payattention.weights.backbone import sha256_of

SHARD = 512
"""Pictures of a shard, unless another number is asked for: what a worker that is killed has to do again."""


@dataclass(frozen=True)
class Shard:
    """Some pictures of a corpus that are looked at, written and counted together.

    Attributes:
        name: Of its file, without the suffix: its number, and a digest of the pictures' ids, the model, and what is
            asked of it.
        digest: Of the ids alone.
        inputs: The pictures, in order.
    """

    name: str
    digest: str
    inputs: Sequence[Input]

    @property
    def file(self) -> str:
        """Its file, from the corpus's folder on."""
        return f"shards/{self.name}.parquet"


def divided(corpus: Corpus, fingerprint: str, size: int) -> list[Shard]:
    """A corpus's shards, of so many pictures each; the last one has what is left."""
    shards = []
    for number, start in enumerate(range(0, len(corpus.inputs), size)):
        inputs = corpus.inputs[start : start + size]
        digest = digest_of(one.id for one in inputs)
        content = hashlib.sha256(f"{fingerprint}{digest}".encode()).hexdigest()
        shards.append(Shard(f"{number:06d}-{content[:16]}", digest, inputs))
    return shards


def digest_of(ids: Iterable[str]) -> str:
    """SHA-256 of ids in order."""
    digest = hashlib.sha256()
    for own in ids:
        digest.update(own.encode() + b"\0")
    return digest.hexdigest()


def fingerprint_of(model: Classifier, asked: Asked) -> str:
    """SHA-256 of all that a row depends on but its picture: the model's tensors and settings, and what is asked."""
    rule = model.combination
    settings = {
        "asked": asked.as_json(),
        "model": asdict(model.config) if hasattr(model, "config") else model.name,
        "classes": model.classes,
        "image_size": model.image_size,
        "crop_mode": model.crop_mode,
        "temperature": model.temperature,
        "combination": [type(rule).__name__, {name: own for name, own in vars(rule).items() if name[0] != "_"}],
        "tensors": sha256_of(model.state_dict()),
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
