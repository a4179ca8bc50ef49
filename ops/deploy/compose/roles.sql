-- The logins of servers and of workers, and the roles that they act in; migrations grant those what they may.
create role cardvault_server login noinherit password 'only-for-trials';
create role cardvault_background login noinherit password 'only-for-trials';
create role cardvault_audit login noinherit password 'only-for-trials';
create role cardvault_app;
create role cardvault_sequencer;
create role cardvault_auditor;
grant cardvault_app to cardvault_server;
grant cardvault_app, cardvault_sequencer to cardvault_background;
grant cardvault_auditor to cardvault_audit;
