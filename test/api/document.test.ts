import { describe, expect, it } from "vitest";
import { CONTRACT } from "../../api/contract.ts";
import { openApiDocument } from "../../api/openapi.ts";
import { renderApi } from "./render.ts";

const RENEW = "renew it with: npx vitest run --project unit test/api/document.test.ts -u";

describe("the documents of the API", () => {
  it(`docs/openapi.json is that of the contract (${RENEW})`, async () => {
    const text = `${JSON.stringify(openApiDocument(), undefined, 2)}\n`;
    await expect(text, `docs/openapi.json is old: ${RENEW}`).toMatchFileSnapshot("../../docs/openapi.json");
  });

  it(`docs/api.md is that of the contract (${RENEW})`, async () => {
    await expect(renderApi(), `docs/api.md is old: ${RENEW}`).toMatchFileSnapshot("../../docs/api.md");
  });

  it("have every operation of the contract once, with all of its answers", () => {
    const { paths } = openApiDocument() as {
      readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
    };
    const found = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId, responses }]) => [
        operationId,
        `${method.toUpperCase()} ${path}`,
        ...Object.keys(responses).toSorted(),
      ]),
    );
    const wanted = Object.entries(CONTRACT).map(([name, { method, route, answers }]) => [
      name,
      `${method} /${route}`,
      ...[...Object.keys(answers), "default"].toSorted(),
    ]);
    expect(found).toHaveLength(wanted.length);
    expect(new Map(found.map((each) => [each[0], each]))).toEqual(new Map(wanted.map((each) => [each[0], each])));
  });

  it("ask nobody who reads an answer to refuse what a newer app says, and tell who writes a body what is refused", () => {
    const { components } = openApiDocument() as {
      readonly components: { readonly schemas: Readonly<Record<string, { readonly additionalProperties?: unknown }>> };
    };
    expect(components.schemas["ProtectedItem"]).not.toHaveProperty("additionalProperties");
    expect(components.schemas["ProtectMachine"]).toMatchObject({ additionalProperties: false });
  });
});

interface Described {
  readonly operationId: string;
  readonly responses: object;
}
