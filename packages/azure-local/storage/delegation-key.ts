import type { IncomingMessage, ServerResponse } from "node:http";
import type { Azurite } from "./azurite-modules.ts";
import { TENANT_ID } from "./identity.ts";

/**
 * Answers Get User Delegation Key (POST `?restype=service&comp=userdelegationkey`): a key for the principal that asked,
 * with which Azurite checks signatures.
 */
export async function answerDelegationKey(
  azurite: Azurite,
  request: IncomingMessage,
  response: ServerResponse,
  asked: { readonly principalId: string; readonly requestId: string },
): Promise<void> {
  let text = "";
  for await (const piece of request.setEncoding("utf8")) text += String(piece);
  const [start, expiry] = [partOf(text, "Start"), partOf(text, "Expiry")];
  const { principalId, requestId } = asked;
  const version = azurite.blobApiVersion;
  const value = azurite.userDelegationKeyValue(principalId, TENANT_ID, start, expiry, version);
  const body = [
    `<?xml version="1.0" encoding="utf-8"?><UserDelegationKey><SignedOid>${principalId}</SignedOid>`,
    `<SignedTid>${TENANT_ID}</SignedTid><SignedStart>${start}</SignedStart><SignedExpiry>${expiry}</SignedExpiry>`,
    `<SignedService>b</SignedService><SignedVersion>${version}</SignedVersion><Value>${value}</Value></UserDelegationKey>`,
  ].join("");
  response.writeHead(200, {
    "x-ms-request-id": requestId,
    "x-ms-version": String(request.headers["x-ms-version"] ?? ""),
    "content-type": "application/xml",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}

/** Times alone: everything else in the body is left out. */
const partOf = (text: string, name: string): string =>
  new RegExp(`<${name}>([0-9TZ:.+-]+)</${name}>`).exec(text)?.[1] ?? "";
