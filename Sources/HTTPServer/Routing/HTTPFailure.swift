/// An error that has an answer of its own: a route throws it.
package protocol ResponseError: Error {
    /// - Parameter style: how the clients of this path expect an error.
    func response(_ style: ErrorStyle) -> Response
}

/// Writes an error in the form that the clients of a path expect.
package typealias ErrorStyle = @Sendable (HTTPFailure) -> Response

/// An error by its status, without what the application knows about it.
package struct HTTPFailure: ResponseError, Sendable, Equatable {
    package var status: HTTPStatus
    /// For the client: what was wrong, and what to do.
    package var message: String
    /// Fields that belong to the status, such as `Allow` and `Retry-After`; the style keeps them.
    package var fields: ResponseFields

    package init(_ status: HTTPStatus, _ message: String, fields: ResponseFields = ResponseFields()) {
        self.status = status
        self.message = message
        self.fields = fields
    }

    package func response(_ style: ErrorStyle) -> Response { style(self) }

    /// A line of text.
    package static let plainText: ErrorStyle = { failure in
        var response = Response.text(failure.status, failure.message)
        response.fields.append(failure.fields)
        return response
    }
}
