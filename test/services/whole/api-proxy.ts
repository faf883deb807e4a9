import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { OnEnd } from "./world.ts";

/**
 * Stands between a mobility service and the function app, as a man in the middle of a test: it passes everything on and
 * may change the grants.
 */
export interface ApiProxy {
  /** Ends in `/api`. */
  readonly apiUrl: string;
  /** Container addresses that the function app granted, as it granted them. */
  readonly granted: readonly string[];
}

/**
 * `change` gets every granted container address with its number, counted from 0, and returns what the service gets
 * instead.
 */
export async function startApiProxy(
  onEnd: OnEnd,
  appUrl: string,
  change: (containerUrl: string, number: number) => string,
): Promise<ApiProxy> {
  const granted: string[] = [];
  const server = createServer((request, response) => {
    const pass = async (): Promise<void> => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const { authorization, "content-type": contentType } = request.headers;
      const answer = await fetch(`${appUrl}${request.url ?? ""}`, {
        method: request.method ?? "POST",
        headers: {
          ...(authorization === undefined ? {} : { authorization }),
          ...(contentType === undefined ? {} : { "content-type": contentType }),
        },
        body: Buffer.concat(parts),
      });
      let text = await answer.text();
      if (answer.ok && request.url?.endsWith("/heartbeat") === true) {
        const body = JSON.parse(text) as { readonly upload: { readonly containerUrl: string } };
        const number = granted.push(body.upload.containerUrl) - 1;
        text = JSON.stringify({
          ...body,
          upload: { ...body.upload, containerUrl: change(body.upload.containerUrl, number) },
        });
      }
      response.writeHead(answer.status, { "content-type": "application/json" }).end(text);
    };
    pass().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onEnd(async () => {
    server.closeAllConnections();
    server.close();
  });
  return { apiUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`, granted };
}
