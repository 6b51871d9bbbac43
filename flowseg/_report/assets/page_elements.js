"use strict";

const byId = (id) => document.getElementById(id);

/** What the page holds under an id: JSON, read when it is needed. */
const readJson = (id) => JSON.parse(byId(id).textContent);

/** What the page holds under an id: bytes, compressed by zlib and in base 64. */
async function readBytes(id) {
  const packed = Uint8Array.from(atob(byId(id).textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** An element with text and attributes. Text from files is only ever set as text, never as markup. */
function make(tag, attributes = {}, ...children) {
  return fillElement(document.createElement(tag), attributes, children);
}

function makeSvg(tag, attributes = {}, ...children) {
  return fillElement(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fillElement(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const number = (n, word, plural = word + "s") => `${n} ${n === 1 ? word : plural}`;
