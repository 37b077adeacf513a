// Starts Swagger UI. A session's requests carry the CSRF token; a bearer token is entered under "Authorize".
(() => {
  const place = document.getElementById("swagger-ui");
  const csrf = () => document.cookie.match(/(?:^|; )[^=;]*csrf[^=;]*=([^;]*)/)?.[1] ?? "";
  window.SwaggerUIBundle({
    url: place.dataset.schema,
    domNode: place,
    deepLinking: true,
    validatorUrl: null,
    requestInterceptor: (request) => {
      const own = new URL(request.url, location.href).origin === location.origin;
      if (own && !request.headers.Authorization) request.headers["X-CSRFToken"] = csrf();
      return request;
    },
  });
})();
