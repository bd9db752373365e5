/** Which bytes may stand where (RFC 9110, 5.5 and 5.6.2; RFC 9112, 3.2): 1 for those that may. */
function tableOf(allowed: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (allowed(byte) ? 1 : 0));
}

const visible = (byte: number): boolean => byte > 0x20 && byte < 0x7f;

/** Methods and field names. */
export const TOKEN = tableOf((byte) => visible(byte) && !'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(byte)));
/** Field values: no control characters but the tab. */
export const VALUE = tableOf((byte) => visible(byte) || byte === 0x20 || byte === 0x09 || byte > 0x7f);
/** Request targets. */
export const TARGET = tableOf(visible);
/** Host fields: names, addresses in brackets, ports; nothing that a URL could not have there. */
export const HOST = tableOf((byte) => /[A-Za-z0-9\-._~%!$&'()*+,;=:[\]]/.test(String.fromCharCode(byte)));
/** What a hexadecimal digit is worth; 255: it is none. */
export const HEX = Uint8Array.from({ length: 256 }, (_, byte) => {
  const value = '0123456789abcdef'.indexOf(String.fromCharCode(byte).toLowerCase());
  return value < 0 ? 255 : value;
});

export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const TAB = 0x09;
export const COLON = 0x3a;

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
