import type { IncomingMessage, ServerResponse } from "node:http";

/** Answers with an error of Azure Storage; Azurite has not seen the request. */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: { readonly status: number; readonly code: string; readonly message: string },
  requestId: string,
): void {
  const { status, code } = refusal;
  const message = `${refusal.message}\nRequestId:${requestId}\nTime:${new Date().toISOString()}`;
  const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  request.resume().once("end", () => {
    response.writeHead(status, {
      "x-ms-error-code": code,
      "x-ms-request-id": requestId,
      "x-ms-version": String(request.headers["x-ms-version"] ?? ""),
      "content-type": "application/xml",
      "content-length": Buffer.byteLength(body),
    });
    response.end(request.method === "HEAD" ? undefined : body);
  });
}
