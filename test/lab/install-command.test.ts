import { describe, expect, it } from "vitest";
import { readInstallCommand } from "../../local/supervisor/install-command.ts";
import { installSettings } from "../../orchestrations/activities/install-script.ts";

const encode = (settings: unknown): string => Buffer.from(JSON.stringify(settings)).toString("base64url");
const script = (base64: string) => ({ kind: "script", text: Buffer.from(base64, "base64").toString("utf8") }) as const;
const command = (text: string) => ({ kind: "command", text }) as const;

describe("the command that installs the mobility service", () => {
  it("carries its settings", () => {
    const settings = {
      itemId: "i",
      apiUrl: "http://x/api",
      registrationToken: "t",
      disks: [{ id: "os" }, { id: "d", lun: 3 }],
    };
    expect(readInstallCommand(command(`sh install-mobility.sh ${encode(settings)}`))).toEqual(settings);
  });

  it.each([
    [script(Buffer.from("#!/bin/sh\nrm -rf /\n").toString("base64"))],
    [script(String(installSettings("https://p.invalid/install-mobility.sh", {})["script"]))],
    [command("sh install-mobility.sh")],
    [command("sh install-mobility.sh x; rm -rf /")],
    [command(`sh install-mobility.sh ${encode("text")}`)],
    [command(`sh install-mobility.sh ${encode({ itemId: "i", apiUrl: "u", other: 1 })}`)],
  ])("is refused when it is %j", (given) => {
    expect(() => readInstallCommand(given)).toThrow(expect.objectContaining({ code: "invalid-request" }));
  });

  it("names no item whose name would lead out of the folder of logs", () => {
    const settings = { itemId: "x/../../../escaped", apiUrl: "http://127.0.0.1:1/api" };
    expect(() => readInstallCommand(command(`sh install-mobility.sh ${encode(settings)}`))).toThrow("itemId");
  });

  it("is never quoted in a refusal: it carries a secret", () => {
    const secret = { itemId: 7, apiUrl: "u", registrationToken: "very-secret" };
    expect(() => readInstallCommand(command(`sh install-mobility.sh ${encode(secret)}`))).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining("very-secret") as string }),
    );
  });
});
