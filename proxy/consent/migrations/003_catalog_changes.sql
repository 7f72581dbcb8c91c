-- Tells gateways of changes of the catalog, so that they look at once. Only who may make an event trigger can install it;
-- without it gateways look every other second. The function does nothing but NOTIFY, by the rights of whoever runs it.
CREATE FUNCTION consentry.catalog_changed() RETURNS event_trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
BEGIN
    IF TG_EVENT = 'sql_drop' THEN
        PERFORM FROM pg_event_trigger_dropped_objects() WHERE NOT is_temporary;
    ELSE
        PERFORM FROM pg_event_trigger_ddl_commands() WHERE schema_name IS DISTINCT FROM 'pg_temp';
    END IF;
    IF FOUND THEN
        NOTIFY consentry_catalog;
    END IF;
END $$;
