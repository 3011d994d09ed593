import HTTPServer
import StockFormats

/// `POST /oauth/access_token`: the first call of every client.
enum AccessToken {
    static let bodyBytesMax = 16 << 10

    /// The body is a form whatever its type says: the vendor's own example calls it JSON.
    static func plan(_ request: Request) throws(ElasticPathError) -> CallPlan {
        let form = QueryParameters(request.body[...])
        do throws(InvalidField) {
            let grantType = try value("grant_type", form)
            let clientID = try value("client_id", form)
            let grant: TokenRequest.Grant
            switch grantType {
            case "client_credentials": grant = .clientCredentials(secret: try value("client_secret", form))
            case "implicit": grant = .implicit
            default: throw InvalidField("grant_type", "must be client_credentials or implicit")
            }
            return .token(TokenRequest(clientID: clientID, grant, peer: request.head.peer)) {
                response(to: $0, identifier: grantType)
            }
        } catch {
            var failure = ElasticPathError(.badRequest, "Bad Request", error.sentence)
            failure.source = error.field
            throw failure
        }
    }

    private static func value(_ name: String, _ form: QueryParameters) throws(InvalidField) -> String {
        let values = form.values(name)
        guard let value = values.first else { throw InvalidField.missing(name) }
        guard values.count == 1 else { throw InvalidField(name, "is given twice") }
        guard Identifier.isValid(value) else { throw InvalidField(name, "must have 1 to \(Identifier.bytesMax) bytes") }
        return value
    }

    private static func response(to answer: TokenAnswer, identifier: String) -> Response {
        switch answer {
        case .failure(.invalidCredential): return ElasticPathError.invalidClient.response(.basic)
        case .failure(let failure): return ElasticPathError(failure).response(.basic)
        case .success(let token):
            var json = JSONWriter()
            json.object { json in
                json.key("expires")
                json.integer(token.expires)
                json.key("identifier")
                json.string(identifier)
                json.key("expires_in")
                json.integer(token.expiresInSeconds)
                json.key("access_token")
                json.string(token.accessToken)
                json.key("token_type")
                json.string("Bearer")
            }
            var response = Response.json(.ok, json.bytes)
            // RFC 6749, 5.1.
            response.fields.add("Cache-Control", "no-store")
            return response
        }
    }
}
