import { createServer } from "node:http";
import { describe, expect, it, onTestFinished } from "vitest";
import { azureVmId, machineIdentity, VM_ID_URL } from "../../mobility/control/machine.ts";
import { nodeFiles } from "../../mobility/system/node-files.ts";
import { createTransport } from "../../mobility/system/transport.ts";

const ID = "02aab8a4-74ef-476e-8182-f6d2ba4166a6";

/** The instance metadata service, as far as it is asked here. */
async function metadataService(answer: {
  status: number;
  body: string;
}): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${String(request.headers["metadata"])}`);
    response.writeHead(answer.status).end(answer.body);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return { url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/vmId`, asked };
}

describe("the machine's own id", () => {
  const never = new AbortController().signal;

  it("P1: on Azure is what the instance metadata say, in lower case", async () => {
    const answer = { status: 200, body: ID.toUpperCase() };
    const { url, asked } = await metadataService(answer);
    expect(await azureVmId(createTransport(nodeFiles()), never, url)).toBe(ID);
    expect(asked).toEqual(["GET true"]);
    expect(new URL(VM_ID_URL).hostname).toBe("169.254.169.254");
  });

  it("P1: is not guessed when the metadata service does not say", async () => {
    const answer = { status: 200, body: "<html>a portal of some network</html>" };
    const { url } = await metadataService(answer);
    await expect(azureVmId(createTransport(nodeFiles()), never, url)).rejects.toMatchObject({
      code: "control-unavailable",
    });
    answer.status = 429;
    answer.body = ID;
    await expect(azureVmId(createTransport(nodeFiles()), never, url)).rejects.toMatchObject({
      code: "control-unavailable",
      facts: { status: 429 },
    });
    await expect(azureVmId(createTransport(nodeFiles()), never, "http://127.0.0.1:1/")).rejects.toMatchObject({
      code: "control-unavailable",
    });
  });

  it("is the one of the configuration where there is one", async () => {
    const identity = machineIdentity("configured", createTransport(nodeFiles()), never);
    expect(identity.known()).toBe("configured");
    expect(await identity()).toBe("configured");
  });
});

describe("outgoing requests", () => {
  it("of a service that is stopping are given up, and end no process", async () => {
    const { url, asked } = await metadataService({ status: 200, body: "" });
    const request = {
      method: "GET",
      url: new URL(url),
      headers: {},
      body: { kind: "text", text: "" },
      timeoutMs: 1000,
    } as const;
    const send = createTransport(nodeFiles()).send({ ...request, signal: AbortSignal.abort() });
    await expect(send).rejects.toMatchObject({ code: "control-unavailable", facts: { reason: "given up" } });
    expect(asked).toEqual([]);
  });
});
