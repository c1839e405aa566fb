// Shows this server's own contract. Everything it needs comes from this server: the machine
// of a reader may have no way out. validatorUrl null keeps the page from asking elsewhere.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
