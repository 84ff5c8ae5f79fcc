// Reads bodies, lists of blocks in Base64 as JSON on standard input, with OpenAI's own client.
// Writes the text of each as JSON, or null where the client fails.
import { text as readAll } from "node:stream/consumers";
import { Stream } from "openai/core/streaming";

console.error = () => {}; // the client prints what it can't parse

async function textOf(blocks) {
  const body = new ReadableStream({
    start(controller) {
      for (const block of blocks) controller.enqueue(Uint8Array.from(Buffer.from(block, "base64")));
      controller.close();
    },
  });
  let text = "";
  try {
    for await (const chunk of Stream.fromSSEResponse(new Response(body), new AbortController())) {
      text += chunk?.choices?.[0]?.delta?.content ?? "";
    }
  } catch {
    return null;
  }
  return text;
}

const bodies = JSON.parse(await readAll(process.stdin));
process.stdout.write(JSON.stringify(await Promise.all(bodies.map(textOf))));
