import { LeewardError, hasCode } from "../../replication/errors.ts";
import type { Tickets } from "../../replication/service/tickets.ts";
import { tokenHash } from "../../replication/service/tokens.ts";
import type { ServiceGate } from "./request-gate.ts";

/** One request of a mobility service, as far as it is authenticated. */
interface ServiceRequest {
  readonly itemId: string;
  /** The token behind its ticket. The domain checks it. */
  readonly token: string;
}

/**
 * Requires a ticket of the item; requests without one are refused before anything is read from storage. Errors:
 * `not-authorized`.
 */
export async function ticketed(
  { tickets }: { readonly tickets: Tickets },
  { item: itemId }: { readonly item: string },
  sentToken: string,
): Promise<ServiceRequest> {
  const token = await tickets.secretOf(itemId, sentToken);
  if (token === undefined) throw refusal();
  return { itemId, token };
}

/** Answers within the limits of the gate. A wrong token and an unknown item get the same answer as a missing ticket. */
export async function admitted<Body>(
  { itemId, token }: ServiceRequest,
  gate: ServiceGate,
  answer: () => Promise<Body>,
): Promise<{ readonly status: 200; readonly body: Body }> {
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
