import * as z from "zod";
import { type ZodOpenApiOperationObject, type ZodOpenApiResponseObject, createDocument } from "zod-openapi";
import { CALLER_ID_MAX_LENGTH } from "../replication/limits.ts";
import { RESOURCES } from "./contract.ts";
import { type Operation, paramNames } from "./operation.ts";
import { STATUS_OF_CODE, refusalBody } from "./refusal.ts";

/** The contract as an OpenAPI 3.1 document. Committed as `docs/openapi.json`, served at `/api/openapi.json`. */
export function openApiDocument(): Readonly<Record<string, unknown>> {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const [tag, operations] of Object.entries(RESOURCES)) {
    for (const [name, operation] of Object.entries<Operation>(operations)) {
      const path = (paths[`/${operation.route}`] ??= {});
      path[operation.method.toLowerCase()] = described(name, tag, operation);
    }
  }
  const document = createDocument(
    {
      openapi: "3.1.0",
      info: { title: "Leeward", version: "1", description: DESCRIPTION },
      servers: [{ url: "/api" }],
      tags: Object.keys(RESOURCES).map((name) => ({ name })),
      paths,
      components: {
        securitySchemes: {
          functionKey: { type: "apiKey", in: "header", name: "x-functions-key" },
          functionKeyInQuery: { type: "apiKey", in: "query", name: "code" },
          itemToken: { type: "http", scheme: "bearer", description: "`<ticket>.<item token>`, of one item alone." },
        },
      },
    },
    {
      // Newer apps may add fields: a client made from this document ignores them.
      override: ({ jsonSchema, io }) => {
        if (io === "output" && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
      },
    },
  );
  return { ...document };
}

const DESCRIPTION = [
  "Replicates Azure virtual machines from one region to another and fails them over.",
  "Times are ISO 8601; durations are minutes where Site Recovery has minutes.",
  "What takes long is answered with 202 and a `Location` to ask; `x-ms-client-request-id` makes such a request",
  "repeatable. Lists that may be long come in pages: `next` of one page is `after` of the next.",
].join(" ");

const SECURITY: Readonly<Record<Operation["caller"], readonly Record<string, string[]>[]>> = {
  operator: [{ functionKey: [] }, { functionKeyInQuery: [] }],
  "item-token": [{ itemToken: [] }],
  // The token is in the body.
  "registration-token": [{}],
};

function described(operationId: string, tag: string, operation: Operation): ZodOpenApiOperationObject {
  const { summary, body, caller, answers, paged, repeatable } = operation;
  const names = paramNames(operation).map((name) => [name, z.string()] as const);
  const json = (schema: z.ZodType) => ({ "application/json": { schema } });
  const responses = Object.entries(answers).map(([status, answer]) => [status, response(answer)] as const);
  return {
    operationId,
    tags: [tag],
    summary,
    security: [...SECURITY[caller]],
    requestParams: {
      ...(names.length === 0 ? {} : { path: z.object(Object.fromEntries(names)) }),
      ...(paged === true ? { query: z.object({ after: AFTER }) } : {}),
      ...(repeatable === true ? { header: z.object({ "x-ms-client-request-id": REQUEST_ID }) } : {}),
    },
    ...(body === undefined ? {} : { requestBody: { required: true, content: json(body) } }),
    responses: { ...Object.fromEntries(responses), default: REFUSAL },
  };
}

const AFTER = z.string().optional().describe("`next` of the page before.");
const REQUEST_ID = z
  .string()
  .min(1)
  .max(CALLER_ID_MAX_LENGTH)
  .optional()
  .describe("The same id again is the same request: it starts nothing new and gets the same answer.");

function response({ description, body, location }: Operation["answers"][number]): ZodOpenApiResponseObject {
  return {
    description,
    ...(body === undefined ? {} : { content: { "application/json": { schema: body } } }),
    ...(location === true ? { headers: z.object({ Location: z.string().describe("Where to ask how it goes.") }) } : {}),
  };
}

const REFUSAL: ZodOpenApiResponseObject = {
  id: "Refused",
  description: `A refusal or a fault. ${statusTexts().join("; ")}.`,
  content: { "application/json": { schema: refusalBody } },
  headers: z.object({ "Retry-After": z.number().optional().describe("Seconds, with 429 and 503.") }),
};

/** The codes of each status. */
function statusTexts(): readonly string[] {
  const statuses = [...new Set(Object.values(STATUS_OF_CODE))].toSorted((one, other) => one - other);
  return statuses.map((status) => {
    const codes = Object.entries(STATUS_OF_CODE).filter(([, each]) => each === status);
    return `${status}: ${codes.map(([code]) => code).join(", ")}`;
  });
}
