// A secret in a file that a variable `NAME_FILE` names.

/** Without the line breaks at its end, which editors and `echo` add. `readFile` may throw an error with a `code`. */
export function secretIn(path: string, readFile: (path: string) => string): { text: string } | { issue: string } {
  try {
    const text = readFile(path).replace(/[\r\n]+$/, '');
    return text.trim() === '' ? { issue: 'the file that it names is empty' } : { text };
  } catch (error) {
    // Without the path: who mistakes the variable for the other one has written the secret there.
    return { issue: `the file that it names cannot be read (${(error as NodeJS.ErrnoException).code})` };
  }
}
