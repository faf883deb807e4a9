import * as z from "zod";
import type { Operation } from "./operation.ts";

/** The description of the API itself. */
export const DOCUMENT = {
  showDocument: {
    method: "GET",
    route: "openapi.json",
    caller: "operator",
    summary: "This API as an OpenAPI 3.1 document.",
    answers: { 200: { description: "The document.", body: z.record(z.string(), z.unknown()) } },
  },
} as const satisfies Readonly<Record<string, Operation>>;
