import HTTPServer
import StockFormats

/// An error of a path that is no vendor's: `{"errors":[…],"errorMessage":"…",…}`.
///
/// A client with a wrong base path gets it. Each vendor's clients find what they look for: one takes an answer without
/// `errors` for a success.
package enum SharedError {
    package static let style: ErrorStyle = { failure in
        var json = JSONWriter()
        json.object { json in
            json.key("errors")
            json.array { json in
                json.object { json in
                    json.key("status")
                    json.integer(failure.status.code)
                    json.key("title")
                    json.string("\(failure.status.reasonPhrase)")
                    json.key("detail")
                    json.string(failure.message)
                }
            }
            json.key("errorMessage")
            json.string(failure.message)
            json.key("message")
            json.string(failure.message)
            json.key("statusCode")
            json.integer(failure.status.code)
            json.key("error")
            json.bool(true)
        }
        var response = Response.json(failure.status, json.bytes)
        response.fields.append(failure.fields)
        return response
    }
}
