import type { HttpHandler, HttpRequest } from "@azure/functions";
import type { z } from "zod";
import { LeewardError, hasCode } from "../replication/errors.ts";
import { tokenHash } from "../replication/service/tokens.ts";
import { type Reply, bearerOf, bodyOf, httpHandler } from "./http-edge.ts";
import type { ServiceGate } from "./request-gate.ts";
import type { Application, ApplicationSource } from "./wiring.ts";

/** One request of a mobility service, as far as it has proved who it is. */
interface ServiceRequest {
  readonly app: Application;
  readonly itemId: string;
  /** The token behind its ticket. The domain checks it. */
  readonly token: string;
}

/** The handler of a route whose token stands in the header. */
export function serviceHandler<Body>(
  application: ApplicationSource,
  schema: z.ZodType<Body>,
  gateOf: (app: Application) => ServiceGate,
  answer: (service: ServiceRequest, body: Body) => Promise<object>,
): HttpHandler {
  return httpHandler(async (request) => {
    const app = application();
    const service = await ticketed(app, request, bearerOf(request));
    const body = await bodyOf(request, schema);
    return admitted(service, gateOf(app), () => answer(service, body));
  });
}

/**
 * Whoever has a ticket of the item; the others are turned away before anything is read from storage for them. Errors:
 * `not-authorized`.
 */
export async function ticketed(app: Application, request: HttpRequest, sentToken: string): Promise<ServiceRequest> {
  const itemId = request.params["item"] ?? "";
  const token = await app.tickets.secretOf(itemId, sentToken);
  if (token === undefined) throw refusal();
  return { app, itemId, token };
}

/**
 * Answers as often as the gate lets it. A wrong token, and an item that is not there, get the answer of those who have
 * no ticket.
 */
export async function admitted(
  { itemId, token }: ServiceRequest,
  gate: ServiceGate,
  answer: () => Promise<object>,
): Promise<Reply> {
  try {
    return { status: 200, body: await gate.run(itemId, tokenHash(token), answer) };
  } catch (error) {
    if (hasCode(error, "item-unknown", "not-authorized")) throw refusal();
    throw error;
  }
}

function refusal(): LeewardError {
  return new LeewardError(
    "not-authorized",
    "The token is not one of this item's mobility service.",
    {},
    { hint: "Ask for a new registration token of the item and start the mobility service with it." },
  );
}
