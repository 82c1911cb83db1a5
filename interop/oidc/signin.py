"""Tokens from the provider: client credentials, and a person who signs in by the authorization code flow with PKCE. Standard library only."""
import base64
import hashlib
import html
import http.cookiejar
import json
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request

ANSWER_SECONDS = 30
REDIRECTS_MAX = 12
CALLBACK = "http://127.0.0.1/callback"


class Stay(urllib.request.HTTPRedirectHandler):
    """Redirects are followed by hand: the last one leads to a client that does not listen."""

    def redirect_request(self, *_):
        return None


def machine_token(issuer, client, resource, scope="mcp:tools"):
    """Client credentials (RFC 6749 section 4.4); `resource` is None for an opaque token."""
    form = {"grant_type": "client_credentials", "scope": scope, **({"resource": resource} if resource else {})}
    basic = base64.b64encode(f"{client}:{client}-secret-of-this-run-alone".encode()).decode()
    return post(f"{issuer}/token", form, {"authorization": f"Basic {basic}"})["access_token"]


def person_tokens(issuer, person, resource):
    """All tokens of a person who signs in and consents on the provider's own pages."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    state = secrets.token_urlsafe(16)
    asked = {
        "client_id": "desktop", "response_type": "code", "redirect_uri": CALLBACK, "scope": "openid mcp:tools offline_access",
        "prompt": "consent", "code_challenge": challenge, "code_challenge_method": "S256", "state": state, "resource": resource,
    }
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), Stay)
    back = visit(browser, f"{issuer}/auth?{urllib.parse.urlencode(asked)}", person)
    answer = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))
    if answer.get("state") != state or answer.get("iss") != issuer or "code" not in answer:
        raise AssertionError(f"the sign-in ended with {back}")
    form = {
        "grant_type": "authorization_code", "client_id": "desktop", "code": answer["code"], "redirect_uri": CALLBACK,
        "code_verifier": verifier, "resource": resource,
    }
    return post(f"{issuer}/token", form, {})


def visit(browser, address, person):
    """Follows redirects and fills in forms until the way leads back to the client; gives that address."""
    form = None
    for _ in range(REDIRECTS_MAX):
        if address.startswith(CALLBACK):
            return address
        status, location, page = get(browser, address, form)
        if status in (302, 303):
            address, form = urllib.parse.urljoin(address, location), None
        elif status == 200 and (action := re.search(r'<form[^>]*action="([^"]+)"', page)):
            prompt = re.search(r'name="prompt" value="(\w+)"', page)[1]
            address = urllib.parse.urljoin(address, html.unescape(action[1]))
            form = {"prompt": prompt, **({"login": person, "password": "any"} if prompt == "login" else {})}
        else:
            raise AssertionError(f"{address}: status {status}: {page[:300]}")
    raise AssertionError(f"more than {REDIRECTS_MAX} steps of sign-in")


def get(browser, address, form):
    data = urllib.parse.urlencode(form).encode() if form else None
    try:
        with browser.open(address, data, timeout=ANSWER_SECONDS) as answer:
            return answer.status, None, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("location"), error.read().decode()


def post(address, form, headers):
    request = urllib.request.Request(address, urllib.parse.urlencode(form).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{address}: status {error.code}: {error.read()[:300]}") from error


def document(address):
    with urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)


def parts(token):
    """Header and claims of a token."""
    decode = lambda part: json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return [decode(part) for part in token.split(".")[:2]]
