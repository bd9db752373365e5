/** A value that a request takes: a part of its path, its query, or a field of its body. */
export interface Value {
  name: string;
  /** `any` is whatever JSON may be */
  kind: 'text' | 'number' | 'boolean' | 'texts' | 'any';
  choices?: readonly string[];
  /** of an object */
  fields?: readonly string[];
  about?: string;
  required?: true;
  nullable?: true;
  default?: string | number | boolean;
}

/** What the OpenAPI document of the master says of an operation, as far as commands are made from it. */
export interface Operation {
  summary: string;
  description?: string;
  /** needs no token */
  open?: true;
  path: readonly Value[];
  query: readonly Value[];
  /** fields of a JSON body */
  body?: readonly Value[];
  /** other content types of a body */
  types: readonly string[];
  bodyRequired?: true;
  ifMatch?: 'required' | 'possible';
  /** takes `Prefer: wait` */
  wait?: true;
  /** answers with `items`, and with `next` where there are more */
  list?: true;
  /** fields of a JSON answer that are always there */
  answers?: readonly string[];
  /** content type of an answer that is not JSON */
  produces?: string;
  /** has no answer to show */
  empty?: true;
}
