/**
 * The description of the gateway's endpoints, docs/openapi.yaml, as tests ask it: types made from its schemas, whole examples of
 * them, and what of a value does not fit. It reads what the schemas of the browser's side are written in, and refuses the rest:
 * a keyword that nobody here knows would be a promise that nobody checks.
 */
import { readFileSync } from "node:fs";
import { parse } from "yaml";

/** A schema of JSON Schema 2020-12, as far as it is used. */
export interface Schema {
  $ref?: string;
  type?: string;
  const?: unknown;
  enum?: readonly unknown[];
  oneOf?: readonly Schema[];
  properties?: Record<string, Schema>;
  required?: readonly string[];
  additionalProperties?: boolean;
  items?: Schema;
  minItems?: number;
  minimum?: number;
  maximum?: number;
  pattern?: string;
  format?: string;
}

/** What one operation answers with a status. */
export interface Described {
  $ref?: string;
  content?: Record<string, { schema: Schema }>;
  "x-events"?: Record<string, Schema>;
}

interface Document {
  paths: Record<string, Record<string, { responses: Record<string, Described> }>>;
  components: { schemas: Record<string, Schema>; responses: Record<string, Described> };
}

const file = new URL("../../../docs/openapi.yaml", import.meta.url);
const document = parse(readFileSync(file, "utf8"), { merge: true }) as Document;

const known = new Set([
  "$ref", "type", "const", "enum", "oneOf", "properties", "required", "additionalProperties", "items", "minItems", "minimum", "maximum",
  "pattern", "format", "title", "description", "examples",
]);

/** The schema itself, where a reference stands for it. */
export function schemaOf(schema: Schema | string): Schema {
  const name = typeof schema === "string" ? schema : schema.$ref?.replace("#/components/schemas/", "");
  const found = name === undefined ? (schema as Schema) : document.components.schemas[name];
  const strange = Object.keys(found ?? {}).filter((keyword) => !known.has(keyword));
  if (found === undefined || strange.length > 0) {
    throw new Error(`docs/openapi.yaml: ${name} is not there, or has ${strange.join(", ")}, which this reader does not know`);
  }
  return found;
}

/** What an operation answers with a status; undefined when it is described to answer no such thing. */
export function answerOf(method: string, path: string, status: number): Described | undefined {
  const found = document.paths[path]?.[method.toLowerCase()]?.responses[String(status)];
  return found?.$ref === undefined ? found : document.components.responses[found.$ref.replace("#/components/responses/", "")];
}

/** A module of TypeScript with these schemas, and all that they lead to, as types. */
export function typesOf(names: readonly string[]): string {
  const all = new Map<string, string>();
  const write = (schema: Schema, deep: string): string => {
    if (schema.$ref !== undefined) {
      return add(schema.$ref.replace("#/components/schemas/", ""));
    }
    const s = schemaOf(schema);
    if (s.const !== undefined || s.enum !== undefined) {
      return (s.enum ?? [s.const]).map((one) => JSON.stringify(one)).join(" | ");
    }
    switch (s.oneOf === undefined ? s.type : "oneOf") {
      case "oneOf":
        return (s.oneOf ?? []).map((one) => write(one, deep)).join(" | ");
      case "array":
        return `readonly (${write(s.items ?? {}, deep)})[]`;
      case "object": {
        const members = Object.entries(s.properties ?? {});
        const mark = (name: string): string => (s.required?.includes(name) ? "" : "?");
        const lines = members.map(([name, one]) => `${deep}  ${name}${mark(name)}: ${write(one, `${deep}  `)};\n`);
        return members.length === 0 ? "Record<string, unknown>" : `{\n${lines.join("")}${deep}}`;
      }
      case "string":
        return s.format === "date-time" ? "DateTime" : "string";
      case "integer":
        return "number";
      case "boolean":
        return "boolean";
      default:
        throw new Error(`docs/openapi.yaml: no type for ${JSON.stringify(s)}`);
    }
  };
  const add = (name: string): string => {
    if (!all.has(name)) {
      all.set(name, ""); // its place, should it lead to itself
      all.set(name, write(schemaOf(name), ""));
    }
    return name;
  };
  names.forEach(add);
  const types = [...all].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, type]) => `export type ${name} = ${type};\n`);
  return `// Made from docs/openapi.yaml by test/openapi.ts: npx vitest run openapi -u writes it anew.\n
/** A time as RFC 3339 writes it: a text, which is not to be taken for any other. */
export type DateTime = string & { readonly time: unique symbol };\n\n${types.join("\n")}`;
}

/** A value with every member that a schema describes. */
export function exampleOf(schema: Schema | string): unknown {
  const s = schemaOf(schema);
  const choice = s.oneOf?.[0] ?? undefined;
  if (choice !== undefined || s.const !== undefined || s.enum !== undefined) {
    return choice !== undefined ? exampleOf(choice) : (s.const ?? s.enum?.[0]);
  }
  switch (s.type) {
    case "array":
      return [exampleOf(s.items ?? {})];
    case "object":
      return Object.fromEntries(Object.entries(s.properties ?? {}).map(([name, one]) => [name, exampleOf(one)]));
    case "string":
      return s.format === "date-time" ? "2026-01-02T03:04:05Z" : "text";
    case "integer":
      return Math.max(s.minimum ?? 0, 600);
    default:
      return true;
  }
}

/** What of a value does not fit a schema: empty when all does. `at` names the value. */
export function faultsOf(schema: Schema | string, value: unknown, at = "it"): string[] {
  const s = schemaOf(schema);
  if (s.oneOf !== undefined) {
    const each = s.oneOf.map((one) => faultsOf(one, value, at));
    return each.filter((faults) => faults.length === 0).length === 1 ? [] : [`${at} fits none, or several: ${each.flat().join("; ")}`];
  }
  if (s.const !== undefined || s.enum !== undefined) {
    return (s.enum ?? [s.const]).includes(value) ? [] : [`${at} is ${JSON.stringify(value)}, which is not listed`];
  }
  const fits: Record<string, boolean> = {
    string: typeof value === "string" && new RegExp(s.pattern ?? "").test(value) && (s.format !== "date-time" || isTime(value)),
    integer: Number.isInteger(value) && Number(value) >= (s.minimum ?? -Infinity) && Number(value) <= (s.maximum ?? Infinity),
    boolean: typeof value === "boolean",
    array: Array.isArray(value) && value.length >= (s.minItems ?? 0),
    object: typeof value === "object" && value !== null && !Array.isArray(value),
  };
  if (fits[s.type ?? ""] !== true) {
    return [`${at} is ${JSON.stringify(value)}, and no ${s.type} as described`];
  }
  if (Array.isArray(value)) {
    return value.flatMap((one, i) => faultsOf(s.items ?? {}, one, `${at}[${i}]`));
  }
  return s.type === "object" ? faultsOfMembers(s, value as Record<string, unknown>, at) : [];
}

function faultsOfMembers(s: Schema, value: Record<string, unknown>, at: string): string[] {
  const missing = (s.required ?? []).filter((name) => value[name] === undefined).map((name) => `${at} has no ${name}`);
  const members = Object.entries(value).flatMap(([name, one]) => {
    const described = s.properties?.[name];
    if (described === undefined) {
      return s.additionalProperties === false ? [`${at} has ${name}, which is not described`] : [];
    }
    return faultsOf(described, one, `${at}.${name}`);
  });
  return [...missing, ...members];
}

function isTime(text: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text) && !Number.isNaN(Date.parse(text));
}
