//! Proving the ledger, and taking it elsewhere.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bailiwick_gateway::operations::Deed;
use bailiwick_store::event::EventKind;
use bailiwick_store::ledger::verify::{self, Finding, Intact, Signatures, Trust};
use bailiwick_store::ledger::{SigningKey, VerifierKey, export_directory};
use bailiwick_store::{Dialect, Store};
use serde_json::{Value, json};

use super::super::args::{Form, TrustArgs};
use super::super::context::Context;
use super::super::output;
use crate::exit::{Exit, Failure};
use crate::settings::{Settings, read_text};

/// What a verification found.
pub(crate) struct Proof {
    /// Records that were checked, when all were good.
    pub(crate) records: u64,
    /// The first thing that is wrong, in one sentence.
    pub(crate) first_fault: Option<String>,
}

/// Verifies the segments in `dir` with the keys beside them.
pub(crate) fn verify_directory(dir: &Path) -> Proof {
    match verify::verify_directory(dir, &Trust::default()) {
        Ok(intact) => Proof { records: intact.records, first_fault: None },
        Err(finding) => Proof { records: 0, first_fault: Some(sentence(&finding)) },
    }
}

/// A finding without the file: for where the path says nothing.
fn sentence(finding: &Finding) -> String {
    Finding { file: None, offset: None, ..finding.clone() }.to_string()
}

/// `audit verify`. Exit codes of its own (reference, security section 5): 1 altered, 2 gap or missing tail, 3 unreadable, 4 signature or key.
pub(super) async fn verify(context: &Context, path: Option<PathBuf>, trust: &TrustArgs) -> Result<(), Failure> {
    let mut trust = read_trust(trust)?;
    let checked = match path {
        Some(path) if path.is_dir() => verify::verify_directory(&path, &trust),
        Some(path) => verify::verify_export(&path, &trust),
        None => verify_own(context, &mut trust).await?,
    };
    match (checked, context.form) {
        (Ok(intact), Form::Json) => output::print_json(&intact_json(&intact)),
        (Ok(intact), Form::Text) => output::print(&intact_text(&intact)),
        (Err(finding), form) => {
            if form == Form::Json {
                output::print_json(&finding_json(&finding))?;
            }
            eprintln!("error: {finding}\nhint: {}", remedy(&finding));
            Err(Failure::told(exit(&finding)))
        }
    }
}

/// The ledger of the configuration, wherever it is.
async fn verify_own(context: &Context, trust: &mut Trust) -> Result<Result<Intact, Finding>, Failure> {
    let settings = context.settings()?;
    if settings.database.dialect() == Dialect::Sqlite {
        return Ok(verify::verify_directory(&settings.ledger_dir(), trust));
    }
    let (store, scope) = context.store(&settings).await?;
    trust_own_key(&store, trust).await?;
    let checked = verify::verify_database(&store, &scope, trust).await;
    store.close().await;
    Ok(checked)
}

/// In a database no public key lies beside the records: without one from elsewhere, the installation's own is taken.
async fn trust_own_key(store: &Store, trust: &mut Trust) -> Result<(), Failure> {
    if trust.keys.is_empty() && store.sealed().is_none() {
        trust.keys.push(SigningKey::sealed(store.checkpoint_key().await?).verifier().clone());
    }
    Ok(())
}

fn read_trust(args: &TrustArgs) -> Result<Trust, Failure> {
    let mut trust = Trust::default();
    if let Some(path) = &args.keys {
        for (number, line) in (1..).zip(read_text(path, "file of public keys")?.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let key = VerifierKey::parse(line);
            trust.keys.push(
                key.ok_or_else(|| Failure::new(Exit::Usage, format!("`{}`, line {number}, is no public key of a ledger", path.display())))?,
            );
        }
    }
    if let Some(path) = &args.checkpoints {
        let text = read_text(path, "file of checkpoints")?;
        let unreadable = |at| Failure::new(Exit::Usage, format!("`{}` holds no checkpoint at byte {at}", path.display()));
        trust.add_checkpoints(&text).map_err(unreadable)?;
    }
    Ok(trust)
}

fn exit(finding: &Finding) -> Exit {
    match finding.exit_code() {
        2 => Exit::Usage,
        3 => Exit::Denied,
        4 => Exit::NotFound,
        _ => Exit::Failed,
    }
}

fn remedy(finding: &Finding) -> &'static str {
    match finding.exit_code() {
        2 => "what is missing may lie in a backup; keep this copy as it is",
        3 => "check the path and its permissions, and verify again",
        4 => "give the public keys that were kept elsewhere with `--keys`",
        _ => "this ledger is not what was written: keep this copy as it is, and compare it with an export or a backup",
    }
}

fn signatures(intact: &Intact) -> &'static str {
    match intact.signatures {
        Signatures::Trusted => "trusted",
        Signatures::Beside => "beside",
        Signatures::Unchecked => "unchecked",
    }
}

fn intact_text(intact: &Intact) -> String {
    let signed = match intact.signatures {
        Signatures::Trusted => "signed by the keys given",
        Signatures::Beside => {
            "signed by the keys beside them, which shows damage but not forgery: keep a public key elsewhere and give it with `--keys`"
        }
        Signatures::Unchecked => "not signed by any key that is known",
    };
    let writers: String = intact
        .writers
        .iter()
        .map(|w| format!("writer {}: {} records, {} of them under a checkpoint\n", w.writer, w.records, w.covered))
        .collect();
    format!("{writers}unaltered: {} records, {} checkpoints, {signed}\n", intact.records, intact.checkpoints)
}

fn intact_json(intact: &Intact) -> Value {
    let writers = intact
        .writers
        .iter()
        .map(|w| json!({"writer": w.writer.as_str(), "records": w.records, "epoch": w.epoch, "covered": w.covered, "live": w.live}));
    json!({
        "unaltered": true, "records": intact.records, "checkpoints": intact.checkpoints,
        "signatures": signatures(intact), "writers": writers.collect::<Vec<_>>(),
    })
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "unaltered": false, "kind": format!("{:?}", finding.kind), "writer": finding.writer.map(|w| w.to_string()), "seq": finding.seq,
        "file": finding.file, "offset": finding.offset, "detail": finding.detail,
    })
}

/// `audit export`, itself recorded: reading the whole record is something that is to be known.
pub(super) async fn export(context: &Context, out: Option<&Path>) -> Result<(), Failure> {
    let settings = context.settings()?;
    let desk = context.recording_desk(&settings).await?;
    let subject = out.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
    let deed = Deed::new(EventKind::Audit, "audit export", &subject);
    let exported = desk.record(deed, async { Ok(write_export(context, &settings, out).await) }).await;
    desk.close().await?;
    let intact = exported??;
    eprintln!("{} records exported; check them anywhere with `bailiwick audit verify FILE`", intact.records);
    Ok(())
}

async fn write_export(context: &Context, settings: &Settings, out: Option<&Path>) -> Result<Intact, Failure> {
    let exported = match out {
        None => export_to(context, settings, &mut BufWriter::new(io::stdout())).await?,
        Some(path) => {
            // A record of everything agents did is for its owner; an earlier export is not overwritten.
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            let file = file.map_err(|cause| Failure::new(Exit::Unavailable, format!("cannot create `{}`: {cause}", path.display())))?;
            let mut buffer = BufWriter::new(file);
            let exported = export_to(context, settings, &mut buffer).await?;
            if exported.is_ok() {
                let saved = buffer.flush().and_then(|()| buffer.get_ref().sync_all());
                saved.map_err(|cause| Failure::new(Exit::Unavailable, format!("cannot write `{}`: {cause}", path.display())))?;
            }
            exported
        }
    };
    exported.map_err(|finding| {
        let failure = Failure::new(Exit::Failed, format!("the export is not complete: {finding}"));
        failure.hint("`bailiwick audit verify` says what is wrong with the ledger")
    })
}

async fn export_to(context: &Context, settings: &Settings, out: &mut (dyn Write + Send)) -> Result<Result<Intact, Finding>, Failure> {
    let now = context.clock.now();
    if settings.database.dialect() == Dialect::Sqlite {
        return Ok(export_directory(&settings.ledger_dir(), out, now));
    }
    let (store, scope) = context.store(settings).await?;
    let mut trust = Trust::default();
    trust_own_key(&store, &mut trust).await?;
    let exported = verify::export_database(&store, &scope, &trust, out, now).await;
    store.close().await;
    Ok(exported)
}
