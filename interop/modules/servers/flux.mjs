// Reads Flux with InfluxData's own parser and type checker.
// Each line in is {"flux", "params", "extern", "rows"}, each line out what it means.
import readline from 'node:readline';
import { Flux, parse } from './flux-lsp-browser_bg.js';

const operators = {
  '==': (a, b) => a === b, '!=': (a, b) => a !== b, '<': (a, b) => a < b, '<=': (a, b) => a <= b, '>': (a, b) => a > b,
  '>=': (a, b) => a >= b, '=~': (a, b) => b.test(a), '!~': (a, b) => !b.test(a), and: (a, b) => a && b, or: (a, b) => a || b,
};
let environment = {};

function evaluate(node, scope) {
  switch (node.type) {
    case 'BinaryExpression':
    case 'LogicalExpression': return operators[node.operator](evaluate(node.left, scope), evaluate(node.right, scope));
    case 'MemberExpression': return evaluate(node.object, scope)[node.property.name ?? node.property.value];
    case 'Identifier': return { true: true, false: false, ...environment, ...scope }[node.name];
    case 'StringLiteral': case 'BooleanLiteral': return node.value;
    case 'IntegerLiteral': case 'FloatLiteral': case 'UnsignedIntegerLiteral': return Number(node.value);
    case 'DateTimeLiteral': return node.value;
    case 'DurationLiteral': return node.values.map((one) => `${one.magnitude}${one.unit}`).join('');
    case 'RegexpLiteral': return new RegExp(node.value, 'u');
    case 'ParenExpression': return evaluate(node.expression, scope);
    case 'UnaryExpression': {
      const value = evaluate(node.argument, scope);
      if (node.operator === 'not') return !value;
      return node.operator === '-' ? (typeof value === 'string' ? `-${value}` : -value) : value;
    }
    case 'ObjectExpression':
      return Object.fromEntries(node.properties.map((one) => [one.key.name ?? one.key.value, evaluate(one.value, scope)]));
    case 'CallExpression': return `${node.callee.name}()`;
    case 'FunctionExpression': return (row) => {
      const body = node.body.type === 'Block' ? node.body.body.find((one) => one.type === 'ReturnStatement').argument : node.body;
      return evaluate(body, { ...scope, [node.params[0].key.name]: row });
    };
    default: throw new Error(`cannot evaluate ${node.type}`);
  }
}

// The first pipeline, from left to right: [name, arguments].
function pipeline(node) {
  if (node.type === 'PipeExpression') return [...pipeline(node.argument), ...pipeline({ ...node.call, type: 'CallExpression' })];
  if (node.type !== 'CallExpression') return [];
  const callee = node.callee.name ?? `${node.callee.object?.name}.${node.callee.property?.name ?? node.callee.property?.value}`;
  return [[callee, node.arguments[0] ? evaluate(node.arguments[0], {}) : {}]];
}

function walk(node, visit) {
  if (Array.isArray(node)) node.forEach((one) => walk(one, visit));
  else if (node && typeof node === 'object') {
    visit(node);
    Object.values(node).forEach((one) => walk(one, visit));
  }
}

function assign(body) {
  for (const one of body ?? []) {
    const inner = one.type === 'OptionStatement' ? one.assignment : one;
    if (inner?.type === 'VariableAssignment') environment[inner.id.name] = evaluate(inner.init, {});
  }
}

// `valid` is the type checker's word, `picked` the ids of the rows that the filters keep, `calls` the pipeline with its plain arguments.
function meaning({ flux, params, extern, rows }) {
  const tree = parse(flux);
  const found = { valid: false, errors: [], calls: [], interpolations: 0, picked: null };
  walk(tree, (node) => {
    if (node.errors?.length) found.errors.push(...node.errors.map((error) => error.msg));
    if (node.type === 'InterpolatedPart') found.interpolations += 1;
  });
  // It knows nothing of what comes beside the query.
  found.valid = params || extern ? found.errors.length === 0 : new Flux(flux).is_valid();
  if (!found.valid || found.interpolations) return found;
  environment = { params: params ?? {} };
  assign(extern?.body);
  assign(tree.body);
  const main = tree.body.find((one) => one.type === 'ExpressionStatement');
  const calls = main ? pipeline(main.expression) : [];
  const filters = calls.filter(([name]) => name === 'filter').map(([, given]) => given.fn);
  found.picked = rows.filter((row) => filters.every((keep) => keep(row))).map((row) => row.id);
  const plain = (given) => Object.fromEntries(Object.entries(given).filter(([, value]) => typeof value !== 'function'));
  found.calls = calls.map(([name, given]) => [name, plain(given)]);
  return found;
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  let found;
  try {
    found = meaning(JSON.parse(line));
  } catch (error) {
    found = { valid: false, errors: [String(error)], calls: [], interpolations: 0, picked: null };
  }
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
