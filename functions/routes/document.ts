import type { HttpFunctionOptions } from "@azure/functions";
import { CONTRACT } from "../../api/contract.ts";
import { serve } from "../serving/http-edge.ts";
import type { ApplicationSource } from "../wiring.ts";

/** The generator is loaded with the first request for the document, so that no cold start pays for it. */
export const showDocument = (application: ApplicationSource): HttpFunctionOptions =>
  serve(CONTRACT.showDocument, application, async () => {
    const { openApiDocument } = await import("../../api/openapi.ts");
    return { status: 200, body: openApiDocument() };
  });
