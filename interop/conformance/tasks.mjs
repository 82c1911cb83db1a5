// The tasks extension (SEP-2663), which the SDK does not have: tools that become tasks, and the three methods on tasks.
import { randomUUID } from "node:crypto";
import { fromJsonSchema, inputRequired, MissingRequiredClientCapabilityError, ProtocolError, ProtocolErrorCode } from "@modelcontextprotocol/server";
import { text } from "./catalogue.mjs";

export const EXTENSION = "io.modelcontextprotocol/tasks";
const TTL_MS = 600_000;
const POLL_MS = 100;
const TASKS_MAX = 1000;
const SECONDS_MAX = 60;

const tasks = new Map();
const declared = (call) => call.capabilities.extensions?.[EXTENSION] !== undefined;
const form = (message, properties) => inputRequired.elicit({ message, requestedSchema: { type: "object", properties, required: [] } });

function demand(call) {
  if (declared(call)) return;
  throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { extensions: { [EXTENSION]: {} } } });
}

function settle(task, status, more = {}) {
  if (task.ended) return;
  clearTimeout(task.timer);
  Object.assign(task, { inputRequests: undefined }, more, { status, lastUpdatedAt: new Date().toISOString() });
  task.ended = ["completed", "failed", "cancelled"].includes(status);
}

/** A new task; `work(task)` sets its timer or its questions. */
function create(work) {
  if (tasks.size >= TASKS_MAX) tasks.delete(tasks.keys().next().value);
  const now = new Date().toISOString();
  const task = { taskId: randomUUID(), status: "working", createdAt: now, lastUpdatedAt: now, ended: false };
  tasks.set(task.taskId, task);
  work(task);
  return { resultType: "task", ...envelope(task) };
}

function envelope({ taskId, status, createdAt, lastUpdatedAt }) {
  return { taskId, status, createdAt, lastUpdatedAt, ttlMs: TTL_MS, pollIntervalMs: POLL_MS };
}

const after = (task, milliseconds, run) => (task.timer = setTimeout(run, milliseconds).unref());
const computed = ({ label = "", seconds }) => text(`Computed ${label} in ${seconds} s.`);

function slowCompute(args, call) {
  const milliseconds = Math.min(Number(args.seconds ?? 0), SECONDS_MAX) * 1000;
  if (milliseconds === 0) return computed(args);
  if (!declared(call)) return new Promise((done) => setTimeout(() => done(computed(args)), milliseconds));
  return create((task) => after(task, milliseconds, () => settle(task, "completed", { result: computed(args) })));
}

function failingJob(args, call) {
  demand(call);
  return create((task) => after(task, 300, () => settle(task, "completed", { result: { ...text("The job failed."), isError: true } })));
}

function protocolErrorJob(args, call) {
  demand(call);
  const error = { code: ProtocolErrorCode.InternalError, message: "The job broke." };
  return create((task) => after(task, 100, () => settle(task, "failed", { error })));
}

/** A task that waits for the answers to `inputRequests` and then ends with what `done` makes of them. */
function asking(inputRequests, done) {
  return (args, call) => {
    demand(call);
    return create((task) => {
      after(task, 50, () => {
        task.answers = {};
        task.done = () => settle(task, "completed", { result: done(args, task.answers) });
        settle(task, "input_required", { inputRequests: { ...inputRequests(args) } });
      });
    });
  };
}

const confirm = { confirm: { type: "boolean" } };
const confirmDelete = asking(
  ({ filename }) => ({ confirm: form(`Delete ${filename}?`, confirm) }),
  ({ filename }, { confirm }) => text(confirm.content?.confirm ? `Deleted ${filename}.` : `Kept ${filename}.`),
);
const multiInput = asking(
  () => ({ first: form("The first?", { name: { type: "string" }, ...confirm }), second: form("The second?", { name: { type: "string" }, ...confirm }) }),
  (args, { first, second }) => text(`${first.content?.name}, ${second.content?.name}`),
);

/** Asks before there is a task, then is one. */
function asksThenWorks(args, call) {
  demand(call);
  const answer = call.answers.user_name;
  if (!answer) return inputRequired({ inputRequests: { user_name: form("What is your name?", { name: { type: "string" } }) } });
  return create((task) => after(task, 100, () => settle(task, "completed", { result: text(`Hello, ${answer.content?.name}!`) })));
}

const tool = (description, run, properties = {}) => {
  const schema = { type: "object", properties };
  return { description, run, schema, accepts: fromJsonSchema(schema) };
};

export const taskTools = {
  greet: tool("Greets at once.", ({ name }) => text(`Hello, ${name}!`), { name: { type: "string" } }),
  slow_compute: tool("Computes for some seconds.", slowCompute, { seconds: { type: "number" }, label: { type: "string" } }),
  failing_job: tool("A task that ends with an error of the tool.", failingJob),
  protocol_error_job: tool("A task that ends with an error of the protocol.", protocolErrorJob),
  confirm_delete: tool("A task that asks one question.", confirmDelete, { filename: { type: "string" } }),
  multi_input: tool("A task that asks two questions.", multiInput),
  test_tool_with_task: tool("Asks, then becomes a task.", asksThenWorks),
};

function find(params) {
  const task = tasks.get(params?.taskId);
  if (!task) throw new ProtocolError(ProtocolErrorCode.InvalidParams, "There is no such task");
  return task;
}

function get(params) {
  const task = find(params);
  const detail = { input_required: { inputRequests: task.inputRequests }, completed: { result: task.result }, failed: { error: task.error } };
  return { ...envelope(task), ...detail[task.status] };
}

function update(params, call) {
  const task = find(params);
  for (const [key, answer] of Object.entries(call.answers)) {
    if (task.status !== "input_required" || !Object.hasOwn(task.inputRequests, key)) continue;
    task.answers[key] = answer;
    delete task.inputRequests[key];
    if (Object.keys(task.inputRequests).length === 0) task.done();
  }
  return {};
}

function cancel(params) {
  settle(find(params), "cancelled");
  return {};
}

/** method -> run(params, call). */
export const taskMethods = Object.fromEntries(
  Object.entries({ "tasks/get": get, "tasks/update": update, "tasks/cancel": cancel }).map(([method, run]) => [
    method,
    (params, call) => (demand(call), run(params, call)),
  ]),
);
