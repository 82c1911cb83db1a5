//! `influxdb`: answers as annotated CSV become rows.

use bailiwick_model::Code;
use serde_json::{Value, json};

use crate::influxdb_support::{agent, config, network, open_as};
use crate::service::{FakeService, Reply};

async fn ask(csv: &str, raw: bool) -> Result<Value, bailiwick_modules::ToolFault> {
    let csv = csv.replace('\n', "\r\n");
    let (agent, _service) = agent(move |_| Reply::new(200, csv.clone())).await;
    let filters = json!([{ "field": "a", "op": "==", "value": 1 }]);
    agent.call("query", &json!({ "bucket": "telemetry", "filters": filters, "raw": raw })).await
}

const TYPED: &str = "\
#datatype,string,long,unsignedLong,double,boolean,dateTime:RFC3339,duration,base64Binary,string
#group,false,false,false,false,false,false,false,false,true
#default,_result,,,,,,,,
,result,table,u,d,b,t,span,bytes,s
,,0,18446744073709551615,1.5,true,2026-07-28T09:30:00Z,1h,aGk=,\"a,\"\"b\"\"
c\"
,,-9,0,NaN,false,,,,
,,1,1,+Inf,true,,,,ü
,,2,1,-Inf,true,,,, x 
,,3,1,1e3,true,,,,'
";

#[tokio::test]
async fn values_have_the_types_of_their_columns() {
    let rows = ask(TYPED, false).await.unwrap();
    let first = json!({
        "table": 0, "u": u64::MAX, "d": 1.5, "b": true, "t": "2026-07-28T09:30:00Z", "span": "1h", "bytes": "aGk=", "s": "a,\"b\"\r\nc",
    });
    assert_eq!(rows[0], first);
    assert_eq!(rows[1], json!({ "table": -9, "u": 0, "d": null, "b": false, "t": null, "span": null, "bytes": null, "s": null }));
    assert_eq!((&rows[2]["d"], &rows[2]["s"], &rows[3]["d"]), (&Value::Null, &json!("ü"), &Value::Null));
    assert_eq!((&rows[3]["s"], &rows[4]["d"]), (&json!(" x "), &json!(1000.0)));
    assert_eq!(rows.as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn tables_have_columns_of_their_own_and_raw_keeps_all() {
    let csv = "\
#datatype,string,long,string
#group,false,false,false
#default,one,,none
,result,table,a
,,0,#not an annotation
,,0,

#datatype,string,long,double,string
#group,false,false,false,false
#default,two,,,
,result,table,b,a
,,1,0.5,\"x

y\"

";
    let rows = json!([{ "table": 0, "a": "#not an annotation" }, { "table": 0, "a": "none" }, { "table": 1, "b": 0.5, "a": "x\r\n\r\ny" }]);
    assert_eq!(ask(csv, false).await, Ok(rows));
    let raw = ask(csv, true).await.unwrap();
    assert_eq!(raw[0], json!({ "": null, "result": "one", "table": 0, "a": "#not an annotation" }));
    assert_eq!(raw[2]["result"], json!("two"));
    assert_eq!(ask("\n", false).await, Ok(json!([])));
    assert_eq!(ask("", false).await, Ok(json!([])));
}

#[tokio::test]
async fn an_error_that_comes_as_a_table_is_an_error() {
    let csv = "\
#datatype,string,long
#group,false,false
#default,_result,
,result,table
,,0

#datatype,string,string
#group,true,true
#default,,
,error,reference
,\"cannot compare, see http://inner.example/x\",897
";
    let fault = ask(csv, false).await.unwrap_err();
    assert_eq!(fault.code, Code::UpstreamError);
    assert_eq!(fault.details.unwrap(), json!({ "body": "cannot compare, see <url>" }));
}

#[tokio::test]
async fn what_is_no_annotated_table_is_refused() {
    let head = "#datatype,string,long\n#group,false,false\n#default,_result,\n,result,table\n";
    for (csv, what) in [
        (",result,table\n,,0\n".to_owned(), "no annotations"),
        (format!("{head},,0,1\n"), "a longer row"),
        (format!("{head},\n"), "a shorter row"),
        (format!("{head},,x\n"), "no number"),
        (format!("{head},,99999999999999999999\n"), "too large a number"),
        ("#datatype,string,long\n#group,false\n,result,table\n".to_owned(), "annotations of two lengths"),
        ("#datatype,string,long\n,result\n".to_owned(), "a short header"),
        ("#datatype,double\n,d\n,1.2.3\n".to_owned(), "no floating point"),
        ("#datatype,boolean\n,b\n,yes\n".to_owned(), "no truth value"),
        (format!("#datatype{}\n", ",long".repeat(1_001)), "too many columns"),
        ("upstream connect error".to_owned(), "no table at all"),
    ] {
        assert_eq!(ask(&csv, false).await.map_err(|fault| fault.code), Err(Code::UpstreamProtocol), "{what}");
    }
    let (agent, _service) = agent(|_| Reply::new(200, b"#datatype,string\r\n,s\r\n,\xff\r\n".to_vec())).await;
    let arguments = json!({ "bucket": "telemetry", "filters": [{ "field": "a", "op": "==", "value": 1 }] });
    assert_eq!(agent.code("query", &arguments).await, Err(Code::UpstreamProtocol), "not UTF-8");
}

#[tokio::test]
async fn rows_and_bytes_have_limits() {
    let head = "#datatype,long,string\r\n#default,,\r\n,table,s\r\n";
    let service = FakeService::start(move |request| {
        let rows = if request.text().contains("\\\"few\\\"") { 3 } else { 4 };
        Reply::new(200, format!("{head}{}", ",0,abcdefghij\r\n".repeat(rows)))
    })
    .await;
    let mut narrow = config();
    narrow["max_rows"] = json!(3);
    let agent = open_as("agent-1", &network(), &service, None, &narrow);
    let arguments = |value: &str| json!({ "bucket": "telemetry", "filters": [{ "field": "a", "op": "==", "value": value }] });
    assert_eq!(agent.call("query", &arguments("few")).await.unwrap().as_array().unwrap().len(), 3);
    let fault = agent.call("query", &arguments("many")).await.unwrap_err();
    assert_eq!((fault.code, fault.details), (Code::LimitExceeded, Some(json!({ "limit": "max_rows", "value": 3 }))));
    assert!(service.received()[0].text().contains("|> limit(n: 4)"), "the server is asked for one row more than allowed");
    let fault = agent.call("list_measurements", &json!({ "bucket": "telemetry" })).await.unwrap_err();
    assert_eq!(fault.code, Code::LimitExceeded);
    // {"table":0,"s":"abcdefghij"} has 28 bytes; brackets and commas come on top.
    for (bytes, fits) in [(88, true), (87, false)] {
        let mut small = config();
        small["max_result_bytes"] = json!(bytes);
        let agent = open_as("agent-1", &network(), &service, None, &small);
        assert_eq!(agent.code("query", &arguments("few")).await.is_ok(), fits, "{bytes}");
    }
    let mut small = config();
    small["max_response_bytes"] = json!(20);
    let fault = open_as("agent-1", &network(), &service, None, &small).call("query", &arguments("few")).await.unwrap_err();
    assert_eq!(fault.details.unwrap()["limit"], json!("max_response_bytes"));
}
