//! Part of stage 12: binary blocks that are larger than the manifest allows (`max_binary_bytes`) give way to a line that says what was
//! there. All other blocks stay byte for byte, so that a link beside a huge image still arrives.

use bailiwick_mcp::{Json, Kind, encode};

use super::decode::Subject;
use crate::catalog::relabel::{each, within};

/// Longest media type that is repeated.
const MIME_CHARS_MAX: usize = 64;

/// The result of a server with oversized blocks replaced. Costs nothing unless the whole is larger than `max`.
pub(super) fn capped(result: Json, subject: Subject, max: usize) -> Json {
    if result.len() <= max {
        return result;
    }
    let block = |block: &Json| replaced(block, max);
    let blocks = |content: &Json| if content.kind() == Kind::Array { each(content, block) } else { block(content) };
    let changed = match subject {
        Subject::Tool => within(&result, "content", blocks),
        Subject::TaskGet | Subject::TaskUpdate | Subject::TaskCancel => {
            within(&result, "result", |result| within(result, "content", blocks))
        }
        Subject::Prompt => within(&result, "messages", |messages| each(messages, |message| within(message, "content", blocks))),
        Subject::Resource => within(&result, "contents", |contents| each(contents, |content| without_blob(content, max))),
        Subject::Completion => None,
    };
    changed.unwrap_or(result)
}

/// A text block in place of one that is too large; `None` for what stays.
fn replaced(block: &Json, max: usize) -> Option<Json> {
    let (kind, holder, data) = match block.text_of("type").as_deref()? {
        "image" => ("image", block.clone(), block.member("data")?),
        "audio" => ("audio", block.clone(), block.member("data")?),
        "resource" => {
            let resource = block.member("resource")?;
            let blob = resource.member("blob")?;
            ("resource", resource, blob)
        }
        _ => return None,
    };
    let size = size(block, &data);
    (size > max).then(|| {
        let text = Json::from_text(&stub(kind, &holder, size, max));
        encode::object(&[("type", &Json::from_static(r#""text""#)), ("text", &text)])
    })
}

/// The same for the contents of a resource, which keep their URI.
fn without_blob(content: &Json, max: usize) -> Option<Json> {
    let size = size(content, &content.member("blob")?);
    (size > max).then(|| {
        let text = Json::from_text(&stub("resource", content, size, max));
        let uri = content.member("uri").unwrap_or_else(|| Json::from_static(r#""""#));
        encode::object(&[("uri", &uri), ("mimeType", &Json::from_static(r#""text/plain""#)), ("text", &text)])
    })
}

/// Bytes when decoded, and whatever else the block carries: nothing large may hide beside a small image.
fn size(block: &Json, data: &Json) -> usize {
    let encoded = data.len().saturating_sub(2);
    let padding = data.bytes().iter().rev().skip(1).take_while(|byte| **byte == b'=').count();
    let others = block.len().saturating_sub(data.len());
    // What is usual beside the data is not counted, so that the limit means the data.
    encoded.saturating_sub(padding) * 3 / 4 + others.saturating_sub(USUAL_BYTES)
}

/// Names, type and punctuation of an ordinary block.
const USUAL_BYTES: usize = 1 << 10;

fn stub(kind: &str, holder: &Json, size: usize, max: usize) -> String {
    let allowed = |mime: &str| {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"/+.-_;= ".contains(&b);
        !mime.is_empty() && mime.len() <= MIME_CHARS_MAX && mime.bytes().all(good)
    };
    let mime = holder.text_of("mimeType").filter(|mime| allowed(mime));
    format!("[{kind} of type {}, {size} bytes, left out: the limit is {max} bytes]", mime.as_deref().unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use bailiwick_mcp::Limits;

    use super::*;

    fn check(text: &str) -> Json {
        Json::check(text.to_owned().into(), &Limits::RESULT).unwrap()
    }

    #[test]
    fn only_what_is_too_large_is_replaced() {
        let (small, large) = ("QUJD", "A".repeat(4_000));
        let image = |data: &str| format!(r#"{{"type":"image","data":"{data}", "mimeType":"image/png"}}"#);
        let link = r#"{ "type":"resource_link","uri":"x:\/y" }"#;
        let blob = format!(r#"{{"type":"resource","resource":{{"uri":"x:b","blob":"{large}","mimeType":"<b>"}}}}"#);
        let text = format!(r#"{{"type":"text","text":"{large}"}}"#);
        let whole = format!(
            r#"{{"content":[{},{},{link},{blob},{text}],"isError":false}}"#,
            image(small),
            image(&large).replace("image", "audio").replace("audio/png", "audio/wav")
        );
        let stubs = [("audio", "audio/wav"), ("resource", "unknown")].map(|(kind, mime)| {
            format!(r#"{{"type":"text","text":"[{kind} of type {mime}, 3000 bytes, left out: the limit is 2999 bytes]"}}"#)
        });
        let expected = format!(r#"{{"content":[{},{},{link},{},{text}],"isError":false}}"#, image(small), stubs[0], stubs[1]);
        assert_eq!(capped(check(&whole), Subject::Tool, 2_999).as_str(), expected);
        assert_eq!(capped(check(&whole), Subject::Tool, 3_000).as_str(), whole, "the limit itself is allowed");
        assert_eq!(capped(check(&whole), Subject::Completion, 1).as_str(), whole);
        let prompt = format!(r#"{{"messages":[{{"role":"user","content":{}}}]}}"#, image(&large));
        assert!(capped(check(&prompt), Subject::Prompt, 2_999).as_str().contains("[image of type image/png, 3000 bytes"));
        let stuffed = format!(r#"{{"content":[{{"type":"image","data":"","x":"{large}"}}]}}"#);
        assert!(capped(check(&stuffed), Subject::Tool, 2_900).as_str().contains("left out"));
    }

    #[test]
    fn contents_of_a_resource_keep_their_address() {
        let whole = format!(r#"{{"contents":[{{"uri":"x:b","mimeType":"image/png","blob":"{}=="}}]}}"#, "A".repeat(3_998));
        let expected = r#"{"contents":[{"uri":"x:b","mimeType":"text/plain","text":"[resource of type image/png, 2998 bytes, left out: the limit is 2000 bytes]"}]}"#;
        assert_eq!(capped(check(&whole), Subject::Resource, 2_000).as_str(), expected);
    }
}
