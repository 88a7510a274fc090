"""What a root file system needs beside programs: accounts, name services, certificates, /tmp, mount points."""

from __future__ import annotations

import os
from collections.abc import Iterator

from stackfile.build.host.files import Collector, HostFile

_PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
_GROUP = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"
_SWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n"
_HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

_TEXTS = {"/etc/passwd": _PASSWD, "/etc/group": _GROUP, "/etc/nsswitch.conf": _SWITCH, "/etc/hosts": _HOSTS,
          "/etc/hostname": "", "/etc/resolv.conf": ""}  # fmt: skip
_DIRECTORIES = {"/dev": 0o755, "/etc": 0o755, "/proc": 0o555, "/root": 0o700, "/run": 0o755, "/sys": 0o555,
                "/tmp": 0o1777, "/usr": 0o755, "/var": 0o755, "/var/tmp": 0o1777}  # fmt: skip
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_BUNDLES = (_BUNDLE, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem")
_BUNDLE_LINKS = ("/etc/ssl/cert.pem", "/usr/lib/ssl/cert.pem")
"""Where OpenSSL looks by default: Alpine and upstream, Debian."""


def extras(collector: Collector, *, dynamic: bool) -> Iterator[HostFile]:
    """The additional files; certificates are read from this machine by `collector`."""
    for path, mode in _DIRECTORIES.items():
        yield HostFile(path=path, type="dir", mode=mode, extra=True)
    for path, text in _TEXTS.items():
        yield HostFile(path=path, type="file", mode=0o644, size=len(text), data=text, extra=True)
    if dynamic:
        yield from _certificates(collector)


def _certificates(collector: Collector) -> Iterator[HostFile]:
    bundle = next((path for path in _BUNDLES if not collector.absent(path)), "")
    if not bundle:
        return
    side = Collector(hashed=collector.hashed)
    real = side.bring(bundle)
    collector.watched.update(side.watched)
    found = side.files[real]
    for directory in ("/etc/ssl", "/etc/ssl/certs", "/usr/lib", "/usr/lib/ssl"):
        yield HostFile(path=directory, type="dir", mode=0o755, extra=True)
    # Content of this machine's bundle, at the path where every distribution's programs find it.
    yield HostFile(path=_BUNDLE, type="file", mode=0o644, size=found.size, digest=found.digest, target=real, extra=True)
    for path in _BUNDLE_LINKS:
        if not os.path.isdir(path):
            yield HostFile(path=path, type="symlink", mode=0o777, target=_BUNDLE, extra=True)
