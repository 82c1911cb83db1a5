//! A token has one form, and JSON one meaning: what two readers could read differently is refused.

use super::keys::{RSA, Signer, base64};
use super::row::{Row, Token, compact, forged};

const HEADER: &str = r#"{"alg":"RS256","typ":"at+jwt","kid":"rsa-1"}"#;

pub(crate) fn rows() -> Vec<Row> {
    let [header, claims, signature] = Token::corp().parts();
    let good = Token::corp().text();
    let with = |header: &str, claims: &str, signature: &str| format!("{header}.{claims}.{signature}");
    let mut rows = vec![
        forged("one part", "malformed", header.clone()),
        forged("two parts", "malformed", format!("{header}.{claims}")),
        forged("four parts", "malformed", format!("{good}.AAAA")),
        forged("four parts, the last one empty", "malformed", format!("{good}.")),
        forged("an encrypted token", "malformed", format!("{}.AAAA.AAAA.AAAA.AAAA", base64(br#"{"alg":"dir","enc":"A256GCM"}"#))),
        forged("no header", "malformed", with("", &claims, &signature)),
        forged("no claims", "malformed", with(&header, "", &signature)),
        forged("no signature", "malformed", with(&header, &claims, "")),
        forged("dots alone", "malformed", ".."),
        forged("a header with padding", "malformed", with(&padded(&header), &claims, &signature)),
        forged("claims with padding", "malformed", with(&header, &padded(&claims), &signature)),
        forged("a signature with padding", "malformed", with(&header, &claims, &padded(&signature))),
        forged("stray bits behind the signature", "malformed", with(&header, &claims, &stray(&signature))),
        forged("the usual alphabet of base64", "malformed", with(&header, &claims, &signature[..signature.len() - 4]) + "+/+/"),
        forged("a blank within the claims", "malformed", with(&header, &format!("{} {}", &claims[..8], &claims[8..]), &signature)),
        forged("a tab within the signature", "malformed", with(&header, &claims, &format!("{}\t{}", &signature[..8], &signature[8..]))),
        forged("percent encoding", "malformed", good.replace('.', "%2E")),
        forged(
            "the JSON form of a signature",
            "malformed",
            format!(r#"{{"protected":"{header}","payload":"{claims}","signature":"{signature}"}}"#),
        ),
        forged("quoted", "malformed", format!("\"{good}\"")),
        forged("cut off", "signature_wrong", good[..good.len() - 2].to_owned()),
        // The credential is measured before it is known to be a token.
        forged("longer than 8 KiB", "", format!("{good}{}", "A".repeat(8_193 - good.len()))),
        forged("one token twice", "malformed", format!("{good}{good}")),
        forged("a token in a token", "malformed", compact(HEADER, &good, &Signer::Rs256(&RSA))),
        forged("base64 of base64", "malformed", with(&base64(header.as_bytes()), &claims, &signature)),
        forged("hexadecimal", "malformed", data_encoding::HEXLOWER.encode(good.as_bytes())),
    ];
    rows.extend(headers());
    rows.extend(claims_as_text());
    rows
}

fn padded(part: &str) -> String {
    let missing = (4 - part.len() % 4) % 4;
    format!("{part}{}", "=".repeat(missing.max(1)))
}

/// The same bytes for a careless reader: the last character of 256 bytes has four bits that mean nothing.
fn stray(signature: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(&signature[signature.len() - 1..]).unwrap();
    format!("{}{}", &signature[..signature.len() - 1], &alphabet[at + 1..at + 2])
}

fn headers() -> Vec<Row> {
    let token = Token::corp();
    let plain = HEADER.trim_end_matches('}');
    let deep = format!(r#"{plain},"x":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    let crowded = format!(r#"{plain},"x":[{}1]}}"#, "1,".repeat(2_100));
    [
        ("a header that is a list", format!("[{HEADER}]")),
        ("a header that is text", "\"RS256\"".to_owned()),
        ("a header that is null", "null".to_owned()),
        ("an empty header", " ".to_owned()),
        ("two algorithms", format!(r#"{plain},"alg":"none"}}"#)),
        ("two algorithms, the first one none", HEADER.replacen('{', r#"{"alg":"none","#, 1)),
        ("two algorithms, one with an escape", format!(r#"{plain},"\u0061lg":"none"}}"#)),
        ("two names of keys", format!(r#"{plain},"kid":"rsa-2"}}"#)),
        ("two types", format!(r#"{plain},"typ":"JWT"}}"#)),
        ("a doubled name deep in the header", format!(r#"{plain},"x":{{"a":1,"a":2}}}}"#)),
        ("a deep header", deep),
        ("a crowded header", crowded),
        ("a header with something behind it", format!("{HEADER}{HEADER}")),
        ("a header with a comment", HEADER.replacen('{', "{/**/", 1)),
        ("a header with single quotes", HEADER.replace('"', "'")),
        ("a header with a comma too many", format!("{plain},}}")),
        ("a header with a byte order mark", format!("\u{feff}{HEADER}")),
    ]
    .into_iter()
    .map(|(name, header)| forged(name, "malformed", token.headed(&header)))
    .collect()
}

fn claims_as_text() -> Vec<Row> {
    let token = Token::corp();
    let plain = token.open_claims();
    let texts = [
        ("claims that are a list", "[]".to_owned()),
        ("claims that are text", "\"x\"".to_owned()),
        ("claims that are a number", "1".to_owned()),
        ("claims that are null", "null".to_owned()),
        ("two issuers", format!(r#"{plain},"iss":"http://127.0.0.1:8485"}}"#)),
        ("two subjects", format!(r#"{plain},"sub":"person-2"}}"#)),
        ("two subjects, one with an escape", format!(r#"{plain},"s\u0075b":"person-2"}}"#)),
        ("two audiences", format!(r#"{plain},"aud":"http://127.0.0.1:8700/mcp"}}"#)),
        ("two ends", format!(r#"{plain},"exp":9999999999}}"#)),
        ("a doubled name deep in the claims", format!(r#"{plain},"x":[{{"a":1,"a":1}}]}}"#)),
        ("deep claims", format!(r#"{plain},"x":{}{}}}"#, "[".repeat(500), "]".repeat(500))),
        ("deep objects", format!(r#"{plain},"x":{}1{}}}"#, r#"{"a":"#.repeat(9), "}".repeat(9))),
        ("crowded claims", format!(r#"{plain},"x":[{}1]}}"#, "1,".repeat(2_000))),
        ("NaN", format!(r#"{plain},"x":NaN}}"#)),
        ("Infinity", format!(r#"{plain},"x":-Infinity}}"#)),
        ("a number with a leading zero", format!(r#"{plain},"x":01}}"#)),
        ("half a surrogate pair", format!(r#"{plain},"x":"\ud800"}}"#)),
        ("a control character in text", format!("{plain},\"x\":\"a\u{1}\"}}")),
        ("claims with something behind them", format!("{plain}}}x")),
        ("two objects of claims", format!("{plain}}}{plain}}}")),
    ];
    let mut rows: Vec<Row> = texts.into_iter().map(|(name, claims)| forged(name, "malformed", token.saying(&claims))).collect();
    let signer = Signer::Rs256(&RSA);
    let broken = [plain.as_bytes(), b",\"x\":\"", &[0xff, 0xfe], b"\"}"].concat();
    rows.push(forged("claims that are no UTF-8", "malformed", compact(HEADER, broken, &signer)));
    let overlong = [plain.as_bytes(), b",\"x\":\"", &[0xc0, 0xaf], b"\"}"].concat();
    rows.push(forged("claims with an overlong character", "malformed", compact(HEADER, overlong, &signer)));
    let utf16: Vec<u8> = format!("{plain}}}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    rows.push(forged("claims as UTF-16", "malformed", compact(HEADER, utf16, &signer)));
    rows
}
