import { describe, expect, it } from "vitest";
import { createCurrency } from "../../mobility/control/currency.ts";

const at = (epoch: number) => ({ stream: 1, epoch, checksum: String(epoch).padStart(64, "0") });

describe("until when the uploaded position is the whole truth", () => {
  it("is unknown before everything was uploaded once", () => {
    expect(createCurrency()(at(0), false, 100)).toBeUndefined();
  });

  it("is now while nothing is pending, and stays when a write comes", () => {
    const currency = createCurrency();
    expect(currency(at(3), true, 100)).toBe(100);
    expect(currency(at(3), true, 200)).toBe(200);
    expect(currency(at(3), false, 300)).toBe(200);
  });

  it("is unknown when the clock was set back, until nothing is pending again", () => {
    const currency = createCurrency();
    expect(currency(at(3), true, 1000)).toBe(1000);
    expect(currency(at(3), false, 400)).toBeUndefined();
    expect(currency(at(3), true, 500)).toBe(500);
  });

  it("is unknown of a newer position until nothing is pending again", () => {
    const currency = createCurrency();
    currency(at(3), true, 100);
    expect(currency(at(4), false, 200)).toBeUndefined();
    expect(currency(at(4), true, 300)).toBe(300);
  });
});
