import { fc, it as property } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import type { HostFunction } from "../../functions-host/host-function.ts";
import { matchRoute, parseRoute } from "../../functions-host/http/route.ts";
import { type AuthorizationLevel, createRoutes } from "../../functions-host/http/routes.ts";

const split = (path: string): readonly string[] => path.split("/").filter((segment) => segment !== "");
const match = (template: string, path: string): unknown => matchRoute(parseRoute(template, "f"), split(path));

const TRIGGER = { type: "httpTrigger", direction: "in" };
const named = (name: string): HostFunction => ({
  id: name,
  name,
  metadata: { name, bindings: { t: TRIGGER } },
  callback: () => undefined,
  triggerKey: "t",
  trigger: TRIGGER,
});
const endpoint = (
  name: string,
  template: string,
  methods: readonly string[] = ["GET"],
  level: AuthorizationLevel = "anonymous",
) => ({
  hostFunction: named(name),
  route: parseRoute(template, name),
  methods,
  level,
});

describe("a route", () => {
  it.each([
    ["items", "items", {}],
    ["items", "ITEMS", {}],
    ["items/{id}", "items/a%20b", { id: "a b" }],
    ["items/{id}/points/{point?}", "items/1/points", { id: "1" }],
    ["items/{id}/points/{point?}", "items/1/points/2", { id: "1", point: "2" }],
    ["files/{*rest}", "files/a/b%2Fc", { rest: "a/b/c" }],
    ["files/{*rest}", "files", { rest: "" }],
    ["items/{id:int}", "items/-12", { id: "-12" }],
    ["items/{id:int:min(3)}", "items/3", { id: "3" }],
    ["items/{id:guid}", "items/0b85659d-5ee5-40e0-b0e0-bf1395aaa806", { id: "0b85659d-5ee5-40e0-b0e0-bf1395aaa806" }],
    ["items/{id:length(2,3)}", "items/ab", { id: "ab" }],
    ["items/{id:length(2)}", "items/ab", { id: "ab" }],
    ["items/{id:alpha?}", "items", {}],
  ])("%s answers %s", (template, path, parameters) => {
    expect(match(template, path)).toEqual(parameters);
  });

  it.each([
    ["items", "item"],
    ["items", "items/1"],
    ["items/{id}", "items"],
    ["items/{id:int}", "items/a"],
    ["items/{id:int}", "items/2147483648"],
    ["items/{id:int:min(3)}", "items/2"],
    ["items/{id:range(1,5)}", "items/6"],
    ["items/{id:length(2,3)}", "items/abcd"],
    ["items/{id:alpha}", "items/a1"],
    ["items/{id}", "items/%E0%A4"],
  ])("%s does not answer %s", (template, path) => {
    expect(match(template, path)).toBeUndefined();
  });

  it.each([
    "items/{id=5}",
    "items/item-{id}",
    "items/{a}.{b}",
    "{*rest}/tail",
    "{a?}/tail",
    "items/{id:regex(^a$)}",
    "items/{id:datetime}",
    "items/{id:int(3)}",
    "items/{id:range(3)}",
    "items/{",
  ])("%s is refused by name", (template) => {
    expect(() => parseRoute(template, "list")).toThrow(
      expect.objectContaining({ code: "not-supported", message: expect.stringContaining("list") }),
    );
  });

  property.prop([fc.array(fc.string({ minLength: 1, unit: "grapheme" }), { minLength: 1, maxLength: 4 })])(
    "returns the text of its parameters unchanged",
    (texts) => {
      const template = texts.map((_text, index) => `{p${index}}`).join("/");
      const path = texts.map((text) => encodeURIComponent(text));
      expect(matchRoute(parseRoute(template, "f"), path)).toEqual(
        Object.fromEntries(texts.map((text, index) => [`p${index}`, text])),
      );
    },
  );
});

describe("the routes of an app", () => {
  const nameAt = (routes: ReturnType<typeof createRoutes>, method: string, path: string): string | undefined =>
    routes.find(method, path)?.endpoint.hostFunction.name;

  it("prefer the more exact route whatever the order of registration", () => {
    const routes = createRoutes("api");
    routes.add(endpoint("rest", "items/{*rest}"));
    routes.add(endpoint("one", "items/{id}"));
    routes.add(endpoint("number", "items/{id:int}"));
    routes.add(endpoint("special", "items/special"));
    expect(nameAt(routes, "GET", "/api/items/special")).toBe("special");
    expect(nameAt(routes, "GET", "/api/items/7")).toBe("number");
    expect(nameAt(routes, "GET", "/api/items/seven")).toBe("one");
    expect(nameAt(routes, "GET", "/api/items/7/8")).toBe("rest");
  });

  it("stand below the prefix, which may be empty", () => {
    const below = createRoutes("api/v1");
    below.add(endpoint("items", "items"));
    expect(nameAt(below, "GET", "/API/v1/items/")).toBe("items");
    expect(nameAt(below, "GET", "/items")).toBeUndefined();
    const bare = createRoutes("");
    bare.add(endpoint("items", "items"));
    expect(nameAt(bare, "GET", "/items")).toBe("items");
  });

  it("share a path between functions of different methods", () => {
    const routes = createRoutes("api");
    routes.add(endpoint("read", "items", ["GET"]));
    routes.add(endpoint("write", "items", ["PUT", "POST"]));
    expect(nameAt(routes, "POST", "/api/items")).toBe("write");
    expect(nameAt(routes, "GET", "/api/items")).toBe("read");
    expect(nameAt(routes, "DELETE", "/api/items")).toBeUndefined();
  });

  it("refuse two functions that answer the same requests, and the host's own addresses", () => {
    const routes = createRoutes("");
    routes.add(endpoint("first", "items/{id}"));
    expect(() => routes.add(endpoint("second", "Items/{name}"))).toThrow(/first and second/);
    expect(() => routes.add(endpoint("third", "admin/things"))).toThrow(/built in/);
  });

  it.each(["admin", "admin/things", "/Admin/things", "administrators"])(
    "refuses the route %s below every prefix, as Azure does",
    (template) => {
      for (const prefix of ["api", ""]) {
        expect(() => createRoutes(prefix).add(endpoint("work", template))).toThrow(
          expect.objectContaining({ code: "configuration-invalid", facts: { function: "work", route: template } }),
        );
      }
    },
  );

  it("refuses runtime/... only where no prefix keeps it away from the host's own paths", () => {
    expect(() => createRoutes("").add(endpoint("work", "runtime/x"))).toThrow(/built in/);
    createRoutes("api").add(endpoint("work", "runtime/x"));
    createRoutes("").add(endpoint("other", "runtimes"));
  });
});
