import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Authenticator, Azurite } from "../azurite-modules.ts";
import { replaceMethod, type Undo } from "./patch.ts";

/** Azurite takes bearer tokens over HTTPS only. Here the gate checks them; this lets pass what the gate has marked. */
export function mendBearer(azurite: Azurite): Undo {
  const undo = azurite.keyAuthenticators.map((authenticator) =>
    replaceMethod(
      authenticator,
      "validate",
      (original) =>
        async function (this: Authenticator, request, context) {
          return request.getHeader("authorization") === MARK ? true : original.call(this, request, context);
        },
    ),
  );
  return () => undo.forEach((takeBack) => takeBack());
}

/** No client knows it, so none can mark its own request. */
const MARK = `SharedKey ${randomBytes(32).toString("base64")}`;

export function markAdmitted(request: IncomingMessage): void {
  request.headers.authorization = MARK;
}
