// Python in a thread of its own: the page stays quick, and can end what does not end by itself.
// It gets {start: settings} once, then {run: request} for each run of a cell (see lab/cells.py).

let run;

// Pyodide loads by fetch: counting what goes through it is all that a progress bar needs.
function countBytes(report) {
  const load = self.fetch;
  let loaded = 0;
  self.fetch = async (...request) => {
    const response = await load(...request);
    if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
    const counter = new TransformStream({
      transform(chunk, stream) {
        report((loaded += chunk.byteLength));
        stream.enqueue(chunk);
      },
    });
    const { status, headers } = response;
    return new Response(response.body.pipeThrough(counter), { status, headers });
  };
}

async function start({ pyodide, package: archive, digits }) {
  countBytes((loaded) => postMessage({ loaded }));
  importScripts(`${pyodide}pyodide.js`);
  const env = { HOME: "/home/pyodide", ...(digits && { NORMCOURSE_DIGITS: digits }) };
  const [python, modules] = await Promise.all([
    loadPyodide({ indexURL: pyodide, packages: ["numpy"], env }),
    fetch(archive).then((response) => response.arrayBuffer()),
  ]);
  python.unpackArchive(modules, "zip");
  run = python.pyimport("normcourse.lab.cells").run;
}

onmessage = async ({ data }) => {
  try {
    if (data.start) {
      await start(data.start);
      postMessage({ ready: true });
    } else {
      const emit = (printed) => postMessage({ printed: JSON.parse(printed) });
      postMessage({ result: JSON.parse(run(JSON.stringify(data.run), emit)) });
    }
  } catch (error) {
    postMessage({ failed: String(error.message ?? error) });
  }
};
