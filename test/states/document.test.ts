import { expect, it } from "vitest";
import { renderStates } from "./render.ts";

it("docs/states.md says what the table says (renew it with -u)", async () => {
  await expect(renderStates()).toMatchFileSnapshot("../../docs/states.md");
});
