"""What entries and tags are called, in the process and in Redis."""

from hashlib import blake2b

_BYTES = 20


def digest(*parts: str) -> str:
    """Return a name for `parts`; each is told from its neighbours by its length."""
    state = blake2b(digest_size=_BYTES)
    for part in parts:
        data = part.encode()
        state.update(len(data).to_bytes(4, "big"))
        state.update(data)
    return state.hexdigest()


def entry_key(prefix: str, name: str) -> str:
    """Return the key of an entry. `prefix` ends in a hash tag, so that a namespace lives on one shard."""
    return f"{prefix}e:{name}"


def lease_key(prefix: str, name: str) -> str:
    """Return the key of the lease of whoever asks the backend for an entry."""
    return f"{prefix}l:{name}"


def index_keys(prefix: str, scope: str) -> tuple[str, str]:
    """Return the keys of what is known of an owner's values: by name, and by when they expire."""
    return f"{prefix}v:{scope}", f"{prefix}v:{scope}:ends"


def whole_key(prefix: str, scope: str) -> str:
    """Return the key of the generation counter that all entries of a scope have."""
    return f"{prefix}g:{digest(scope)}"


def tag_key(prefix: str, scope: str, tag: str) -> str:
    """Return the key of a tag's generation counter."""
    return f"{prefix}g:{digest(scope, tag)}"
