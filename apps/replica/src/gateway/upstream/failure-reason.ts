/** What an operator is told of a failure: of a name with several addresses each, where node itself only has a code. */
export function reasonOf(error: Error): string {
  if (error.message !== '') return error.message;
  if (error instanceof AggregateError) return error.errors.map((one) => (one as Error).message).join(', ');
  return (error as NodeJS.ErrnoException).code ?? error.name;
}
