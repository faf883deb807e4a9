import { once } from "node:events";
import { createServer } from "node:net";
import { expect, it } from "vitest";
import { checkPorts, FREE_PORTS } from "../../local/supervisor/ports.ts";

it("a taken port is an error that names the option to change it", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  await expect(checkPorts({ ...FREE_PORTS, targetBlob: port })).rejects.toMatchObject({
    code: "port-in-use",
    facts: { port, option: "--target-port" },
    hint: expect.stringContaining("--target-port") as string,
  });
  server.close();
  await once(server, "close");
  await expect(checkPorts({ ...FREE_PORTS, targetBlob: port })).resolves.toBeUndefined();
});

it("two services cannot ask for one port", async () => {
  await expect(checkPorts({ ...FREE_PORTS, app: 17_071, nbd: 17_071 })).rejects.toMatchObject({ code: "port-in-use" });
});
