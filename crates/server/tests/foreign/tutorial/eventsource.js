// A live page as Server-Sent Events tutorials have it; nothing in it is made for this server.
const source = new EventSource("http://" + location.host + "/sse?room=a");

source.onopen = () => console.log("connected");

source.onmessage = (event) => {
  const message = JSON.parse(event.data);
  console.log("received " + message.type + ": " + message.text);
};

source.addEventListener("order", (event) => {
  const order = JSON.parse(event.data);
  console.log("order " + order.id + " is " + order.status);
});

source.onerror = () => console.log("error");
