# frozen_string_literal: true

# Doorkeeper, the OAuth server inside GitLab, with GitLab's settings, on a loopback port:
#
#     ruby server.rb FOLDER
#
# Everything below /oauth is the gems' own: pages, tokens, revocation. Who signs in is decided here, and /api/v4/user sends the
# recorded responses of tests/fixtures/gitlab. FOLDER holds the database, the log, and settings.json with the password of all users
# and the applications that exist from the start. Prints its port, and ends when its input is closed.
#
# Source: config/initializers/doorkeeper.rb and doorkeeper_openid_connect.rb, and
# app/controllers/oauth/authorizations_controller.rb of GitLab.

ENV["RAILS_ENV"] = ENV["RACK_ENV"] = "production"
Encoding.default_external = Encoding::UTF_8

require "json"
require "securerandom"
require "active_record/railtie"
require "action_controller/railtie"
require "doorkeeper"
require "doorkeeper/openid_connect"
require "puma"
require "puma/server"

Thread.new do
  $stdin.read
  exit!
end

FOLDER = ARGV.fetch(0)
SETTINGS = JSON.parse(File.read("#{FOLDER}/settings.json"))
FIXTURES = File.expand_path("../../../fixtures/gitlab", __dir__)
# A relative URL root, as in a GitLab that is not at the root of its host.
ROOT = "/gitlab"
ENV["DATABASE_URL"] = "sqlite3:#{FOLDER}/gitlab.sqlite"

# One thread, because SQLite has one writer.
SERVER = Puma::Server.new(nil, Puma::Events.stdio, min_threads: 1, max_threads: 1)
PORT = SERVER.add_tcp_listener("127.0.0.1", 0).addr[1]
# The app under test is at 127.0.0.1. At another name, this is another site for a browser, as a GitLab is.
BASE_URL = "http://localhost:#{PORT}#{ROOT}"

class GitLab < Rails::Application
  config.root = FOLDER
  config.load_defaults 6.1
  config.eager_load = false
  config.secret_key_base = SecureRandom.hex(64)
  config.session_store :cookie_store, key: "_gitlab_session"
  config.relative_url_root = ROOT
  config.logger = Logger.new("#{FOLDER}/rails.log")
  config.log_level = :info
end

GitLab.initialize!

# Nothing has to survive a power failure.
ActiveRecord::Base.connection.execute("PRAGMA synchronous = OFF")

# As Doorkeeper's generators write it, with PKCE, and without previous_refresh_token, which GitLab does not have.
ActiveRecord::Schema.verbose = false
ActiveRecord::Schema.define do
  create_table(:users) { |t| t.string :username, null: false }

  create_table :oauth_applications do |t|
    t.string :name, null: false
    t.string :uid, null: false, index: { unique: true }
    t.string :secret, null: false
    t.text :redirect_uri, null: false
    t.string :scopes, null: false, default: ""
    t.boolean :confidential, null: false, default: true
    t.timestamps null: false
  end

  create_table :oauth_access_grants do |t|
    t.references :resource_owner, null: false
    t.references :application, null: false, foreign_key: { to_table: :oauth_applications }
    t.string :token, null: false, index: { unique: true }
    t.integer :expires_in, null: false
    t.text :redirect_uri, null: false
    t.datetime :created_at, null: false
    t.datetime :revoked_at
    t.string :scopes, null: false, default: ""
    t.string :code_challenge
    t.string :code_challenge_method
  end

  create_table :oauth_access_tokens do |t|
    t.references :resource_owner, index: true
    t.references :application, null: false, foreign_key: { to_table: :oauth_applications }
    t.string :token, null: false, index: { unique: true }
    t.string :refresh_token, index: { unique: true }
    t.integer :expires_in
    t.datetime :revoked_at
    t.datetime :created_at, null: false
    t.string :scopes
  end

  create_table :oauth_openid_requests do |t|
    t.references :access_grant, null: false, foreign_key: { to_table: :oauth_access_grants, on_delete: :cascade }
    t.string :nonce, null: false
  end
end

Doorkeeper.configure do
  orm :active_record
  base_controller "ApplicationController"
  resource_owner_authenticator { current_user || sign_in_first }
  admin_authenticator { current_user || sign_in_first }

  access_token_expires_in 2.hours
  use_refresh_token
  force_ssl_in_redirect_uri false
  forbid_redirect_uri { |uri| %w[data vbscript javascript].include?(uri.scheme.to_s.downcase) }
  default_generator_method :hex
  hash_token_secrets
  hash_application_secrets
  default_scopes :api
  optional_scopes :read_api, :read_user, :read_repository, :write_repository, :sudo, :openid, :profile, :email
  enforce_configured_scopes
  grant_flows %w[authorization_code password client_credentials]
end

# GitLab's own text, of config/locales/doorkeeper.en.yml. It replaces one that is loaded already.
I18n.backend.eager_load!
I18n.backend.store_translations(
  :en, doorkeeper: { errors: { messages: { invalid_redirect_uri: "The redirect URI included is not valid." } } }
)

Doorkeeper::OpenidConnect.configure do
  issuer BASE_URL
  signing_key OpenSSL::PKey::RSA.new(2048).to_pem
  resource_owner_from_access_token { |token| User.find_by(id: token.resource_owner_id) }
  auth_time_from_resource_owner { |_user| nil }
  reauthenticate_resource_owner { |_user, return_to| redirect_to return_to }
  subject(&:id)
  claims do
    claim(:nickname, scope: :openid, response: %i[id_token user_info], &:username)
  end
end

class User < ActiveRecord::Base
end

class ApplicationController < ActionController::Base
  private

  def current_user
    User.find_by(id: session[:user_id])
  end

  def sign_in_first
    session[:user_return_to] = request.fullpath
    redirect_to "#{ROOT}/users/sign_in"
    nil
  end
end

class SessionsController < ApplicationController
  def new
    render inline: <<~ERB
      <!DOCTYPE html>
      <html lang="en">
      <head><meta charset="utf-8"><title>Sign in</title></head>
      <body>
      <h1>Sign in</h1>
      <%= form_tag do %>
        <p><%= label_tag :username, "Username" %> <%= text_field_tag :username %></p>
        <p><%= label_tag :password, "Password" %> <%= password_field_tag :password %></p>
        <p><%= submit_tag "Sign in" %></p>
      <% end %>
      </body>
      </html>
    ERB
  end

  def create
    user = User.find_by(username: params[:username].to_s)
    return render(plain: "Invalid login or password.", status: :unprocessable_entity) unless user && password?

    return_to = session[:user_return_to] || "#{ROOT}/oauth/applications"
    reset_session
    session[:user_id] = user.id
    redirect_to return_to
  end

  private

  def password?
    ActiveSupport::SecurityUtils.secure_compare(params[:password].to_s, SETTINGS.fetch("password"))
  end
end

# GitLab's way to answer: errors and a consent that was given before are pages, and no redirects.
class AuthorizationsController < Doorkeeper::AuthorizationsController
  def new
    return render("doorkeeper/authorizations/error") unless pre_auth.authorizable?
    return render("doorkeeper/authorizations/new") unless matching_token? && pre_auth.client.application.confidential?

    render inline: <<~ERB, locals: { url: authorization.authorize.redirect_uri }, layout: false
      <!DOCTYPE html>
      <html><head><meta charset="utf-8"><title>Redirecting</title></head>
      <body>
      <h3>Redirecting</h3>
      <a id="redirect" href="<%= url %>">Click here to redirect to <%= url %></a>
      <script>window.location = <%= raw url.to_json %>;</script>
      </body></html>
    ERB
  end
end

# Which recorded response is sent depends on Doorkeeper's token.
class UserController < ActionController::Base
  def show
    token = Doorkeeper::AccessToken.by_token(request.authorization.to_s[/\ABearer (.+)\z/, 1].to_s)
    return recorded("user_unauthorized") unless token
    return recorded("user_token_expired") if token.expired?
    return recorded("user_token_revoked") if token.revoked?
    return recorded("user_insufficient_scope") unless token.includes_scope?(:read_user, :api, :read_api)

    recorded("user_#{User.find(token.resource_owner_id).username}")
  end

  private

  def recorded(name)
    head, body = File.read("#{FIXTURES}/#{name}.http").split("\n\n", 2)
    status, *headers = head.lines(chomp: true)
    headers.each { |line| response.set_header(*line.split(": ", 2)) }
    render body: body.gsub("$BASE", BASE_URL), status: status.split[1].to_i, content_type: "application/json"
  end
end

GitLab.routes.draw do
  use_doorkeeper { controllers authorizations: "authorizations" }
  use_doorkeeper_openid_connect
  get "/-/user_settings/applications", to: redirect("oauth/applications")
  get "/-/profile/applications", to: redirect("-/user_settings/applications")
  get "/users/sign_in", to: "sessions#new"
  post "/users/sign_in", to: "sessions#create"
  get "/api/v4/user", to: "user#show"
end

# With the ids of the recorded responses.
{ "root" => 1, "alice" => 2, "bob" => 3 }.each { |username, id| User.create!(id: id, username: username) }

SETTINGS.fetch("applications").each do |settings|
  application = Doorkeeper::Application.new(settings.except("secret"))
  application.secret_strategy.store_secret(application, :secret, settings.fetch("secret"))
  application.save!
end

SERVER.app = Rack::URLMap.new(ROOT => GitLab)
running = SERVER.run
puts "listening: #{BASE_URL}"
$stdout.flush
running.join
