// Loaded in front of a server on `@modelcontextprotocol/sdk` 1.x: writes down which calls begin and which are cancelled.
import { appendFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { Protocol } = await import(pathToFileURL(`${process.env.MATRIX_SDK}/dist/esm/shared/protocol.js`).href);
const observe = (what) => appendFileSync(process.env.MATRIX_OBSERVED, `${what}\n`);
const began = Protocol.prototype._onrequest;
const cancelled = Protocol.prototype._oncancel;

Protocol.prototype._onrequest = function (request, extra) {
  if (request.method === "tools/call" && request.params.name === "trigger-long-running-operation") observe("started");
  return began.call(this, request, extra);
};
Protocol.prototype._oncancel = function (notification) {
  // The table of running calls is asked before the SDK is: a cancellation of no call is none.
  if (this._requestHandlerAbortControllers.has(notification.params.requestId)) observe("cancelled");
  return cancelled.call(this, notification);
};
