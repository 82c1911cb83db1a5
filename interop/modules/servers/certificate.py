"""A certificate for localhost, made for one run. Programs that read SSL_CERT_FILE trust it."""

import install


def localhost(work, name="server"):
    """(certificate, key) as files."""
    certificate, key = work / f"{name}.crt", work / f"{name}.key"
    command = [
        install.program("openssl"),
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]
    install.run(*command, "-keyout", key, "-out", certificate)
    return certificate, key
