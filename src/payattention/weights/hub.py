"""Models on the Hugging Face Hub: their names, `hf-hub:user/name@revision`, and their files' way from there and to it.

huggingface_hub's own mixin for PyTorch models was not taken: it would have every network import the Hub's client, makes
a class again from its arguments in place of a network from its name, opens a pickle where there is no safetensors file,
and writes a card that says nothing.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from payattention.errors import CheckpointError, PayAttentionError, UsageError
from payattention.system.pickles import called_like_pickle
from payattention.system.reaching import not_waiting
from payattention.weights.header import WEIGHTS

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PREFIX = "hf-hub:"
_NAME = re.compile(r"(?=.{1,96}$)[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9_])?", re.ASCII)
_LONGEST = 300  # characters of an error that the client tells
_LOG_IN = "`hf auth login`, or the environment variable HF_TOKEN"


@dataclass(frozen=True)
class HubName:
    """A model on the Hub.

    Attributes:
        repository: USER/NAME.
        revision: A branch, a tag or a commit; None for the newest.
    """

    repository: str
    revision: str | None = None

    @classmethod
    def of(cls, text: str) -> "HubName":
        """`user/name` or `user/name@revision`, with or without `hf-hub:` before it.

        Raises:
            UsageError: Not a name that the Hub gives.
        """
        repository, at, revision = text.removeprefix(PREFIX).partition("@")
        parts = repository.split("/")
        plain = not re.search(r"--|\.\.|\.git$", repository)
        if len(parts) != 2 or not plain or not all(map(_NAME.fullmatch, parts)) or (at and not revision):
            raise UsageError(f"{text!r} is not a model's name on the Hub: write {PREFIX}USER/NAME, or ...@REVISION")
        return cls(repository, revision or None)

    def __str__(self) -> str:
        return PREFIX + self.repository + (f"@{self.revision}" if self.revision else "")


def fetched_weights(name: HubName) -> Path:
    """The weights file of a model on the Hub, from this machine's cache where that has the newest; nothing else of it.

    Raises:
        CheckpointError: There is no such model, it may not be read, it has no weights that can be opened, or it is not
            on this machine and the Hub does not answer.
    """
    with _in_one_line(name):
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        api = _api()
        try:
            return Path(api.hf_hub_download(name.repository, WEIGHTS, revision=name.revision))
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            raise _without_weights(name, api.list_repo_files(name.repository, revision=name.revision)) from None


def push(folder: Path, name: HubName, *, private: bool = False, message: str = "Push the model") -> str:
    """Puts a folder's files into a repository on the Hub, which is made if it is not there, in one commit.

    Args:
        folder: The files.
        name: The repository, and the branch of it where that is not the main one.
        private: Whether a new repository is to be seen by its owner only.
        message: Of the commit.

    Returns:
        The commit's address.

    Raises:
        UsageError: A private one was asked for, and the repository is there and public.
        PayAttentionError: There is no token, it does not allow this, or the Hub does not answer.
    """
    check_logged_in(name)
    with _in_one_line(name):
        api = _api()
        if private and _is_public(api, name.repository):
            raise UsageError(f"{name} is there already, for all to see: make it private in its settings first")
        api.create_repo(name.repository, private=private or None, exist_ok=True)
        done = api.upload_folder(
            repo_id=name.repository, folder_path=folder, revision=name.revision, commit_message=message
        )
        return str(done.commit_url)


def check_logged_in(name: HubName) -> None:
    """Raises PayAttentionError where there is no token to push with; the Hub is not asked."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise PayAttentionError(f"{name}: pushing needs a token of the Hub that may write: {_LOG_IN}")


def _api() -> "HfApi":
    from huggingface_hub import HfApi

    from payattention import __version__

    return HfApi(library_name="payattention", library_version=__version__)


def _is_public(api: "HfApi", repository: str) -> bool:
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return not api.model_info(repository).private
    except RepositoryNotFoundError:
        return False


def _without_weights(name: HubName, files: list[str]) -> CheckpointError:
    """The error for a repository that has no weights of this package."""
    if pickles := [file for file in files if called_like_pickle(Path(file))]:
        return CheckpointError(
            f"{name}: no {WEIGHTS}, but {pickles[0]}, a pickle, and pickles are never opened: they can run code"
        )
    return CheckpointError(f"{name}: no {WEIGHTS} there, as payattention push writes it")


@contextmanager
def _in_one_line(name: HubName) -> Iterator[None]:
    """Turns what the Hub's client raises into an error of ours that says what to do."""
    try:
        with not_waiting():
            yield
    except PayAttentionError:
        raise
    except Exception as error:  # clients raise anything, of families that change with their versions
        raise _told(name, error) from None


def _told(name: HubName, error: Exception) -> PayAttentionError:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    hub = constants.ENDPOINT
    if isinstance(error, GatedRepoError):
        return CheckpointError(
            f"{name}: its owner decides who may read it: ask at {hub}/{name.repository}, then log in ({_LOG_IN})"
        )
    if isinstance(error, RepositoryNotFoundError):
        return CheckpointError(f"{name}: no such model at {hub}, or a private one, for which one logs in ({_LOG_IN})")
    if isinstance(error, RevisionNotFoundError):
        return CheckpointError(f"{name}: no branch, tag or commit of that name in {hub}/{name.repository}")
    if isinstance(error, LocalEntryNotFoundError):
        return CheckpointError(
            f"{name}: not on this machine, and cannot be fetched from {hub} ({_in_words(error.__cause__ or error)}); "
            "connect to the network once, or name a folder that save_pretrained wrote"
        )
    if isinstance(error, HfHubHTTPError) and error.response is not None and error.response.status_code in (401, 403):
        return PayAttentionError(f"{name}: {hub} does not allow this ({_in_words(error)}); log in ({_LOG_IN})")
    return PayAttentionError(f"{name}: it went wrong at {hub} ({_in_words(error)})")


def _in_words(error: BaseException) -> str:
    """What the client says, and why, in one line, without where it has more to say."""
    said, cause = _line(error), error.__cause__
    return (said if cause is None or _line(cause) in said else f"{said}: {_line(cause)}")[:_LONGEST]


def _line(error: BaseException) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):  # by the user, or while no one answers
        return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "no one answers there"
    return " ".join(str(error).split()).partition(" For more information")[0] or type(error).__name__
