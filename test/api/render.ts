import { RESOURCES } from "../../api/contract.ts";
import type { Operation } from "../../api/operation.ts";
import { STATUS_OF_CODE } from "../../api/refusal.ts";

const HEAD = `# HTTP API

Made from the contract (\`api/\`) by \`npx vitest run --project unit test/api/document.test.ts -u\`. The shapes of
bodies and answers stand in [openapi.json](openapi.json), which the app serves at \`/api/openapi.json\`.

All routes begin with \`/api/\`. Operators send a function key (\`x-functions-key\` or \`?code=\`). The mobility service sends
\`authorization: Bearer <ticket>.<item token>\`, checked in the handler, and its one-time token in the body of its
registration ([mobility-protocol.md](mobility-protocol.md)). Times are ISO 8601, durations in minutes where Site
Recovery has minutes.

- **Long-running requests** are answered with 202 and a \`Location\` to ask. Those marked with ↻ take
  \`x-ms-client-request-id\`: the same id again is the same request, starts nothing new and gets the same answer.
- **Pages**: where \`?after=\` stands, the \`next\` of an answer is the \`after\` of the next page.
- **Refusals and faults** are \`{ "error": { "code", "message", "hint", "facts" } }\`, with \`Retry-After\` beside 429
  and 503.
`;

/** `docs/api.md`. */
export function renderApi(): string {
  const parts = Object.entries(RESOURCES).map(
    ([name, operations]) => `## ${name}\n\n${table(Object.values(operations))}\n`,
  );
  return [HEAD, ...parts, `## Codes\n\n${codes()}\n`].join("\n");
}

function table(operations: readonly Operation[]): string {
  const rows = operations.map((operation) => {
    const { method, route, caller, summary, answers, repeatable, paged } = operation;
    const marks = `${paged === true ? "?after=" : ""}\`${repeatable === true ? " ↻" : ""}`;
    const told = Object.entries(answers).map(([status, { description }]) => `${status}: ${description}`);
    return `| \`${method} ${route}${marks} | ${CALLERS[caller]} | ${summary} | ${told.join(" ")} |`;
  });
  return ["| method and path | caller | what | answers |", "|---|---|---|---|", ...rows].join("\n");
}

const CALLERS: Readonly<Record<Operation["caller"], string>> = {
  operator: "function key",
  "item-token": "item's token",
  "registration-token": "one-time token",
};

function codes(): string {
  const statuses = [...new Set(Object.values(STATUS_OF_CODE))].toSorted((one, other) => one - other);
  const rows = statuses.map((status) => {
    const those = Object.entries(STATUS_OF_CODE).filter(([, each]) => each === status);
    return `| ${status} | ${those.map(([code]) => `\`${code}\``).join(", ")} |`;
  });
  return ["| status | codes |", "|---|---|", ...rows].join("\n");
}
