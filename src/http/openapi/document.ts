// Types of the OpenAPI 3.1 document: only the parts that ours uses.

export interface Schema {
  $ref?: string;
  title?: string;
  description?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  discriminator?: { propertyName: string; mapping: Record<string, string> };
  format?: string;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  examples?: readonly unknown[];
  /** OpenAPI 3.0; `describe` converts it to `examples`. */
  example?: unknown;
}

export interface Example {
  $ref?: string;
  summary?: string;
  value?: unknown;
}

export interface Media {
  schema: Schema;
  examples?: Record<string, Example>;
}

export interface Header {
  description: string;
  schema: Schema;
  required?: boolean;
}

export interface Response {
  description: string;
  /** The codes that a route names. `describe` replaces them with responses. */
  'x-problems'?: string[];
  'x-oauth-errors'?: string[];
  headers?: Record<string, Header>;
  content?: Record<string, Media>;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header' | 'cookie';
  required?: boolean;
  description?: string;
  schema: Schema;
  example?: unknown;
}

export interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  security: Record<string, string[]>[];
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Record<string, Media> };
  responses: Record<string, Response>;
}

export interface Description {
  openapi: string;
  info: { title: string; version: string; description: string; license: { name: string; url: string } };
  servers: { url: string; description?: string }[];
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, Schema>;
    examples: Record<string, Example>;
    securitySchemes: Record<string, { type: string; scheme: string; description: string }>;
  };
}

/** The component that `$ref` points to, or the node itself. */
export function resolved<T extends { $ref?: string }>(document: Description, node: T): T {
  if (node.$ref === undefined) return node;
  const [, , kind, name] = node.$ref.split('/') as [string, string, keyof Description['components'], string];
  const found = document.components[kind][name] as T | undefined;
  if (!found) throw new Error(`the OpenAPI document has no ${node.$ref}`);
  return resolved(document, found);
}

export const operationsOf = (document: Description): { path: string; method: string; operation: Operation }[] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
