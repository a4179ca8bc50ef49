-- The login of servers and workers; the migration that comes first makes the roles that it acts in.
create role cardvault_background login noinherit password 'only-for-trials';
create role cardvault_app;
create role cardvault_sequencer;
grant cardvault_app, cardvault_sequencer to cardvault_background;
