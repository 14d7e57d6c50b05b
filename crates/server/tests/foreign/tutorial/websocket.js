// A chat as WebSocket tutorials have it; nothing in it is made for this server.
const socket = new WebSocket("ws://" + location.host + "/ws?room=a");

socket.onopen = () => {
  console.log("connected");
  socket.send(JSON.stringify({ type: "chat", text: "Hello everybody! 👋" }));
};

socket.onmessage = (event) => {
  const message = JSON.parse(event.data);
  console.log("received " + message.type + ": " + message.text);
};

socket.onerror = (error) => console.log("error " + error.message);
socket.onclose = (event) => console.log("closed " + event.code);
