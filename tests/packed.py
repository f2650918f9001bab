"""Archives made for tests."""

import io
import tarfile
import zipfile


def tarball(path, members):
    """Write a .tar.gz; a member is bytes, or a TarInfo for something hostile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, data in members.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(data, bytes):
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return path


def zipped(path, members, kind=zipfile.ZIP_DEFLATED):
    """Write a .zip of members that are bytes or text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path
